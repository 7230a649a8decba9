//! What the library's results mean.

use std::time::Duration;

use fred::error::{Error, ErrorKind};
use fred::types::Value;

use super::Refused;
use crate::RedisError;

pub(super) fn ended_error(ended: Result<Result<(), Error>, tokio::task::JoinError>) -> Option<Error> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(error) => Some(Error::new(ErrorKind::Unknown, error.to_string())),
    }
}

pub(super) fn connect_error(error: Option<Error>) -> RedisError {
    match error {
        Some(error) if *error.kind() == ErrorKind::Auth => {
            RedisError::Credentials(error.details().to_owned())
        }
        Some(error) => RedisError::Connect(error.details().to_owned()),
        None => RedisError::Connect("closed".to_owned()),
    }
}

/// The answers to commands that stand on their own: one that Redis refuses does not concern the others,
/// one without an answer does.
pub(super) fn refused_of_each(
    answers: Vec<Result<Value, Error>>,
    limit: Duration,
) -> Result<Option<Refused>, RedisError> {
    let mut refused: Option<Refused> = None;
    for (index, answer) in answers.into_iter().enumerate() {
        if let Err(error) = answer {
            let error = answer_or_failure(error, limit)?;
            refused.get_or_insert_with(|| Refused { error, items: Vec::new() }).items.push(index);
        }
    }
    Ok(refused)
}

/// The error that Redis answered; `Err` when it answered nothing.
pub(super) fn answer_or_failure(error: Error, limit: Duration) -> Result<RedisError, RedisError> {
    let error = command_error(error, limit);
    if error.is_answer() { Ok(error) } else { Err(error) }
}

pub(super) fn queue_error(error: Error) -> RedisError {
    RedisError::Lost(error.details().to_owned())
}

pub(super) fn command_error(error: Error, limit: Duration) -> RedisError {
    match error.kind() {
        ErrorKind::Timeout => RedisError::Timeout(limit),
        ErrorKind::Auth => RedisError::Credentials(error.details().to_owned()),
        ErrorKind::Routing if error.details().contains("redirections") => {
            RedisError::Unready("the slot of the key is moving between nodes".to_owned())
        }
        ErrorKind::IO | ErrorKind::Canceled | ErrorKind::Tls | ErrorKind::Routing => {
            RedisError::Lost(error.details().to_owned())
        }
        _ if is_reply(error.details()) => RedisError::of_reply(error.details()),
        // The library's own words, for example when the connection went before the command was sent.
        _ => RedisError::Lost(error.details().to_owned()),
    }
}

/// Whether a text is an error that a server answers: it begins with a word in capitals.
fn is_reply(text: &str) -> bool {
    let word = text.split(' ').next().unwrap_or_default();
    word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_redis_says_is_an_answer() {
        let check = |kind: ErrorKind, details: &'static str, expect: RedisError| {
            assert_eq!(command_error(Error::new(kind, details), Duration::from_secs(1)), expect);
        };
        let lost = |text: &str| RedisError::Lost(text.to_owned());
        check(ErrorKind::Unknown, "ERR unknown command", RedisError::Reply("ERR unknown command".into()));
        check(
            ErrorKind::InvalidArgument,
            "WRONGTYPE Operation",
            RedisError::Reply("WRONGTYPE Operation".into()),
        );
        check(ErrorKind::Unknown, "OOM command", RedisError::OutOfMemory("OOM command".into()));
        check(ErrorKind::Unknown, "Too many failed write attempts.", lost("Too many failed write attempts."));
        check(ErrorKind::Unknown, "Missing response.", lost("Missing response."));
        check(ErrorKind::IO, "broken pipe", lost("broken pipe"));
        check(ErrorKind::Timeout, "late", RedisError::Timeout(Duration::from_secs(1)));
        assert!(
            !command_error(Error::new(ErrorKind::Routing, "Too many redirections."), Duration::ZERO)
                .needs_reconnect()
        );
    }
}
