//! Against a server that does what the test says.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const LONG: Duration = Duration::from_secs(20);

async fn pair(limit: Duration) -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (Wire::new(Socket::Plain(ours.unwrap()), limit), theirs.unwrap().0)
}

fn publish(count: usize, payload: &Bytes) -> Commands {
    let mut commands = Commands::with_capacity(count);
    for _ in 0..count {
        commands.begin(3);
        commands.word(b"PUBLISH");
        commands.word(b"c");
        commands.shared(payload);
    }
    commands
}

#[tokio::test]
async fn every_group_gets_its_own_answers_however_they_are_cut() {
    let (mut wire, mut server) = pair(LONG).await;
    let payload = Bytes::from(vec![b'x'; 5000]);
    let (first, second) = (wire.send(publish(3, &payload)), wire.send(publish(1, &payload)));
    let expect = [publish(3, &payload).finish(), publish(1, &payload).finish()].concat().concat();
    let answers = async {
        let mut got = vec![0; expect.len()];
        server.read_exact(&mut got).await.unwrap();
        assert!(got == expect);
        for piece in [":1\r", "\n-NOPERM no", "\r\n:", "2\r\n:3\r\n"] {
            server.write_all(piece.as_bytes()).await.unwrap();
            server.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let asked = async { tokio::join!(first, second) };
    let (first, second) = tokio::select! {
        error = wire.lost() => panic!("{error}"),
        ((), asked) = async { tokio::join!(answers, asked) } => asked,
    };
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.refused, [(1, "NOPERM no".to_owned())]);
    assert_eq!((first.last, second.last), (Reply::Integer(2), Reply::Integer(3)));
    assert!(second.refused.is_empty());
}

#[tokio::test]
async fn what_is_late_and_has_not_begun_to_leave_never_leaves() {
    let (mut wire, mut server) = pair(Duration::from_millis(50)).await;
    // More than the buffers of both sockets hold.
    let payload = Bytes::from(vec![b'x'; 32 << 20]);
    let (begun, late) = (wire.send(publish(1, &payload)), wire.send(Commands::of(&["LATE"])));
    let both = async { tokio::join!(begun, late) };
    let (begun, late) = tokio::select! {
        error = wire.lost() => panic!("{error}"),
        both = both => both,
    };
    assert_eq!(begun.unwrap_err(), RedisError::Timeout(Duration::from_millis(50)));
    assert_eq!(late.unwrap_err(), RedisError::Timeout(Duration::from_millis(50)));

    wire.limit = LONG;
    let next = wire.send(Commands::of(&["NEXT"]));
    let expect = [publish(1, &payload).finish(), Commands::of(&["NEXT"]).finish()].concat().concat();
    let serve = async {
        let mut got = vec![0; expect.len()];
        server.read_exact(&mut got).await.unwrap();
        assert!(got == expect, "only what had begun and what is new");
        server.write_all(b":0\r\n+OK\r\n").await.unwrap();
    };
    let answer = tokio::select! {
        error = wire.lost() => panic!("{error}"),
        ((), answer) = async { tokio::join!(serve, next) } => answer,
    };
    assert_eq!(answer.unwrap().last, Reply::Text("OK".into()), "the late answer is not taken for another's");
}

#[tokio::test]
async fn what_a_server_says_before_it_hangs_up_is_heard() {
    let (mut wire, mut server) = pair(LONG).await;
    server.write_all(b"-ERR max number of clients reached\r\n").await.unwrap();
    drop(server);
    let answer = wire.ask(Commands::of(&["PING"])).await;
    match answer {
        Ok(answer) => assert_eq!(answer.last, Reply::Error("ERR max number of clients reached".into())),
        // It came before the question had left.
        Err(error) => assert!(matches!(error, RedisError::Lost(_)), "{error}"),
    }
}

#[tokio::test]
async fn another_protocol_is_named() {
    let (mut wire, mut server) = pair(LONG).await;
    server.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
    let error = wire.ask(Commands::of(&["PING"])).await.unwrap_err();
    assert!(error.to_string().contains("does not speak the protocol"), "{error}");
}
