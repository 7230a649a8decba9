//! Logins by redirect and by code, against a scripted broker.

use std::sync::Arc;

use market_model::{Clock, UnixNanos};
use tokio::time::advance;

use super::*;
use crate::testing::{RuntimeClock, ScriptedLogin, ScriptedWeb, account};

/// 2026-11-20 09:00:10 IST, ten seconds into a window of thirty.
const START: UnixNanos = UnixNanos::from_secs(1_795_145_410);

#[test]
fn the_checksum_is_kites() {
    // From the broker's own client tests.
    let [key, token, secret] = ["Uz7Mdn29ZGya31a", "qKLeSUycwFEvWGw", "kqykYBBhGEwPziq"].map(Secret::new);
    assert_eq!(
        session_checksum(&key, &token, &secret).expose(),
        "ac90aa6cafb2bab90a172d38f70c66cbc1d96601852123530459fcabbc487d4f"
    );
}

fn desk() -> LoginDesk {
    LoginDesk::new(LoginConfig { most_begun: 2, ..LoginConfig::default() })
}

fn redirect(start: &LoginStart, rest: &str) -> String {
    format!("?action=login&type=login&{rest}&state={}", start.state.expose())
}

#[tokio::test(start_paused = true)]
async fn a_login_by_redirect() {
    let (desk, login) = (desk(), ScriptedLogin::default());
    let live = Account { simulated: false, user_id: Some("AB1234".into()), ..account("a") };
    let start = desk.begin(&live).unwrap();
    let expect = format!(
        "https://kite.zerodha.com/connect/login?v=3&api_key=key-of-a&redirect_params=state%3D{}",
        start.state.expose()
    );
    assert_eq!(start.url, expect);
    let sim = desk.begin(&account("s")).unwrap();
    assert!(sim.url.starts_with("http://127.0.0.1:1/connect/login?v=3&"), "{}", sim.url);

    let query = redirect(&start, "status=success&request_token=rt1");
    let back = desk.recognise(&query).unwrap();
    assert_eq!((back.account.as_str(), back.request_token.expose()), ("a", "rt1"));
    assert!(matches!(desk.recognise(&query), Err(AccountError::UnknownLogin { .. })), "recognised twice");

    let session = desk.exchange(&login, &live, &back.request_token).await.unwrap();
    assert_eq!(session.access_token.expose(), "token-for-rt1");
    assert_eq!(login.asked(), 1);
    let error = desk.exchange(&login, &live, &back.request_token).await.unwrap_err().to_string();
    assert!(error.contains("was used before"), "{error}");
    assert_eq!(login.asked(), 1, "a used request token reached the broker");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_nobody_began_is_refused() {
    let desk = desk();
    let start = desk.begin(&account("a")).unwrap();
    for query in [
        "",
        "status=success&request_token=rt",
        "status=success&request_token=rt&state=0000",
        &"x".repeat(9000),
    ] {
        assert!(matches!(desk.recognise(query), Err(AccountError::UnknownLogin { minutes: 10 })), "{query}");
    }
    let error = desk.recognise(&redirect(&start, "status=cancelled")).unwrap_err().to_string();
    assert!(error.contains("did not report success"), "{error}");
    let start = desk.begin(&account("a")).unwrap();
    let error = desk.recognise(&redirect(&start, "status=success")).unwrap_err().to_string();
    assert!(error.contains("no request token"), "{error}");
    // Too old, and pushed out by newer ones.
    let old = desk.begin(&account("a")).unwrap();
    advance(Duration::from_secs(601)).await;
    assert!(desk.recognise(&redirect(&old, "status=success&request_token=rt")).is_err());
    let starts = [0; 3].map(|_| desk.begin(&account("a")).unwrap());
    assert!(desk.recognise(&redirect(&starts[0], "status=success&request_token=rt")).is_err());
    assert!(desk.recognise(&redirect(&starts[2], "status=success&request_token=rt")).is_ok());
    assert!(!format!("{:?} {desk:?}", starts[1]).contains(starts[1].state.expose()));
}

#[tokio::test(start_paused = true)]
async fn a_refused_exchange_shows_no_secret() {
    let (desk, login) = (desk(), ScriptedLogin::default());
    let a = account("a");
    login.say(Err(LoginRefused::Refused("Invalid `checksum` of key-of-a and rt-hush.".into())));
    let error = desk.exchange(&login, &a, &Secret::new("rt-hush")).await.unwrap_err().to_string();
    assert!(error.contains("Invalid `checksum` of [redacted] and [redacted]"), "{error}");
    login.say(Ok(NewSession { access_token: Secret::new("t"), user_id: "ZZ9999".into() }));
    let other = Account { user_id: Some("AB1234".into()), ..account("a") };
    let error = desk.exchange(&login, &other, &Secret::new("rt2")).await.unwrap_err().to_string();
    assert!(error.contains("made by user `ZZ9999`, the account is of `AB1234`"), "{error}");
    login.hang();
    let error = desk.exchange(&login, &a, &Secret::new("rt3")).await.unwrap_err().to_string();
    assert!(error.contains("did not answer within 15 s"), "{error}");
    let bare = Account { secrets: crate::AccountSecrets::default(), ..account("b") };
    assert!(desk.begin(&bare).unwrap_err().to_string().contains("no api_secret"));
    let off = Account { enabled: false, ..account("b") };
    assert!(matches!(desk.begin(&off), Err(AccountError::Disabled(_))));
}

// === without a human ===

struct Robot {
    clock: Arc<RuntimeClock>,
    web: ScriptedWeb,
    desk: LoginDesk,
    broker: ScriptedLogin,
    folder: tempfile::TempDir,
    account: Account,
}

impl Robot {
    fn new() -> Self {
        let mut account = account("a");
        account.automatic_login = true;
        account.user_id = Some("AB1234".into());
        account.secrets.password = Some(Secret::new("pass-hush"));
        account.secrets.totp_seed = Some(Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
        Self {
            clock: Arc::new(RuntimeClock::starting_at(START)),
            web: ScriptedWeb::default(),
            desk: desk(),
            broker: ScriptedLogin::default(),
            folder: tempfile::tempdir().unwrap(),
            account,
        }
    }

    /// As after a restart: only the disk is remembered.
    fn login(&self) -> AutoLogin<ScriptedWeb> {
        let clock: Arc<dyn Clock> = self.clock.clone();
        AutoLogin::new(
            self.web.clone(),
            clock,
            LoginBars::within(self.folder.path()),
            Duration::from_secs(120),
        )
    }

    async fn go(&self, login: &AutoLogin<ScriptedWeb>) -> Result<NewSession, String> {
        let result = login.log_in(&self.desk, &self.broker, &self.account).await;
        result.map_err(|error| {
            let text = error.to_string();
            assert!(!text.contains("hush") && !text.contains("GEZD"), "{text}");
            text
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_sequence_of_a_login_without_a_human() {
    let robot = Robot::new();
    let session = robot.go(&robot.login()).await.unwrap();
    assert_eq!(session.access_token.expose(), "token-for-rt-web");
    let steps = robot.web.steps();
    let code = Totp::from_seed(robot.account.secrets.totp_seed.as_ref().unwrap())
        .unwrap()
        .code(START.as_secs() / 30);
    assert_eq!(steps[..2], ["open a".to_owned(), "password AB1234".to_owned()]);
    assert_eq!(steps[2], format!("code req-1 {}", code.expose()));
    assert!(steps[3].starts_with("authorise http://127.0.0.1:1/connect/login?v=3"), "{}", steps[3]);
    assert_eq!(steps.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn it_is_off_unless_asked_for() {
    let mut robot = Robot::new();
    robot.account.automatic_login = false;
    assert!(robot.go(&robot.login()).await.unwrap_err().contains("off for this account"));
    assert_eq!(robot.web.steps(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_is_never_sent_again() {
    let robot = Robot::new();
    robot.web.refuse_password(WebRefused::Password("Invalid password pass-hush".into()));
    let login = robot.login();
    assert!(robot.go(&login).await.unwrap_err().contains("accounts unbar a"));
    robot.web.accept();
    for login in [login, robot.login()] {
        assert!(robot.go(&login).await.unwrap_err().contains("refused the user id or the password"));
        assert!(login.barred(&robot.account.name).is_some());
    }
    assert_eq!(robot.web.steps().iter().filter(|step| step.starts_with("password")).count(), 1);
    let login = robot.login();
    login.unbar(&robot.account.name).unwrap();
    robot.go(&login).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_login_cut_off_at_the_password_bars_too() {
    let robot = Robot::new();
    robot.web.hang_at_password();
    let login = robot.login();
    // The process dies while the password is on its way; until then nothing is wrong.
    {
        let mut cut_off = std::pin::pin!(robot.go(&login));
        let _ = timeout(Duration::from_secs(1), &mut cut_off).await.unwrap_err();
        assert_eq!(login.barred(&robot.account.name), None);
        assert!(robot.go(&login).await.unwrap_err().contains("is under way"));
    }
    assert!(login.barred(&robot.account.name).is_some());
    robot.web.accept();
    assert!(robot.go(&robot.login()).await.unwrap_err().contains("cut off after the password was sent"));
}

#[tokio::test(start_paused = true)]
async fn a_code_is_never_sent_twice() {
    let robot = Robot::new();
    let login = robot.login();
    robot.web.refuse_codes(1);
    robot.go(&login).await.unwrap();
    // Straight away once more: the code of this window was used.
    robot.broker.say(Ok(NewSession { access_token: Secret::new("t"), user_id: String::new() }));
    robot.web.next_request_token("rt-web-2");
    let _ = robot.go(&login).await;
    // And with a clock that is set back.
    robot.clock.step(-60_000_000_000);
    robot.web.next_request_token("rt-web-3");
    let _ = robot.go(&login).await;
    let codes: Vec<String> = robot.web.steps().into_iter().filter(|step| step.starts_with("code")).collect();
    assert_eq!(codes.len(), 4);
    for (index, code) in codes.iter().enumerate() {
        assert!(!codes[..index].contains(code), "{codes:?}");
    }
    robot.web.refuse_codes(2);
    assert!(robot.go(&login).await.unwrap_err().contains("refused the code"));
    assert!(login.barred(&robot.account.name).is_some());
}

#[tokio::test(start_paused = true)]
async fn two_apps_of_one_user_never_send_one_code() {
    let robot = Robot::new();
    let login = robot.login();
    let second = Account { name: AccountName::new("b").unwrap(), ..robot.account.clone() };
    robot.go(&login).await.unwrap();
    robot.web.next_request_token("rt-web-2");
    login.log_in(&robot.desk, &robot.broker, &second).await.unwrap();
    let codes: Vec<String> = robot.web.steps().into_iter().filter(|step| step.starts_with("code")).collect();
    assert!(codes.len() == 2 && codes[0] != codes[1], "{codes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_answer_is_asked_three_times() {
    let robot = Robot::new();
    let login = robot.login();
    robot.web.refuse_password(WebRefused::Unreachable("timed out".into()));
    for words in ["tried again later", "tried again later", "accounts unbar"] {
        let error = robot.go(&login).await.unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let robot = Robot::new();
    let login = robot.login();
    robot.web.refuse_password(WebRefused::NotSent("no route".into()));
    for _ in 0..5 {
        assert!(robot.go(&login).await.unwrap_err().contains("could not be reached: no route"));
        assert!(login.barred(&robot.account.name).is_none(), "nothing was sent");
    }
    let robot = Robot::new();
    let login = robot.login();
    for (token, words) in [("rt-1", "begin again"), ("rt-2", "begin again"), ("rt-3", "accounts unbar")] {
        robot.web.next_request_token(token);
        robot.broker.say(Err(LoginRefused::Refused("Invalid `checksum`.".into())));
        let error = robot.go(&login).await.unwrap_err();
        assert!(error.contains("Invalid `checksum`.") && error.contains(words), "{error}");
    }
    assert!(login.barred(&robot.account.name).is_some(), "a wrong api_secret is not tried for ever");
    let robot = Robot::new();
    robot.web.ask_for("app_code");
    assert!(robot.go(&robot.login()).await.unwrap_err().contains("switch it to totp"));
}
