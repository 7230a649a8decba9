//! What the running gateway says of itself, step by step.

use serde_json::Value;

use super::{Diagnosis, Verdict};

/// Names listed in one line.
const MOST_NAMED: usize = 5;

/// `before` and `after` are two reports a moment apart.
pub(super) fn examine(diagnosis: &mut Diagnosis, before: &Value, after: &Value, instances: Option<&Value>) {
    let sim = if after["sim"] == true { ", on a SIMULATED market" } else { "" };
    diagnosis.good("gateway", format!("runs as `{}`{sim}", text(&after["instance"])));
    database(diagnosis, &after["database"]);
    instruments(diagnosis, &after["instrument_list"]);
    accounts(diagnosis, &after["accounts"]);
    addresses(diagnosis, after);
    leases(diagnosis, after, instances);
    wishes(diagnosis, &after["subscriptions"], &after["accounts"]);
    // A simulated market has no hours.
    let is_quiet = after["sim"] != true && hours(diagnosis, &after["sessions"]);
    connections(diagnosis, &after["connections"]);
    ticks(diagnosis, before, after, is_quiet);
    sinks(diagnosis, after);
    tasks(diagnosis, &after["tasks"]);
}

fn database(diagnosis: &mut Diagnosis, status: &Value) {
    match (status["down"].as_str(), status["writes_refused"].as_str()) {
        (Some(why), _) => diagnosis.bad(
            "database",
            format!("is down: {why}"),
            "the feed goes on; wishes, accounts and leases cannot change until it answers again",
        ),
        (None, Some(why)) => {
            diagnosis.bad(
                "database",
                format!("refuses writes: {why}"),
                "make room or let the primary take over",
            );
        }
        (None, None) => diagnosis.good("database", "answers"),
    }
}

fn instruments(diagnosis: &mut Diagnosis, list: &Value) {
    let listed = list["listed"].as_u64().unwrap_or(0);
    match (listed, list["failure"].as_str()) {
        (0, Some(why)) => {
            let advice = "without instruments nothing can be subscribed; it is tried again by itself";
            diagnosis.bad("instruments", format!("there are none: {why}"), advice);
        }
        (0, None) => diagnosis.bad("instruments", "there are none yet", "they are being loaded, look again"),
        (_, Some(why)) => diagnosis.note(
            "instruments",
            format!("{listed} of {}, the last dump was not taken: {why}", text(&list["day"])),
            "the last good ones are used; it is tried again by itself",
        ),
        (_, None) => diagnosis.good("instruments", format!("{listed} of {}", text(&list["day"]))),
    }
}

fn accounts(diagnosis: &mut Diagnosis, accounts: &Value) {
    let accounts = rows(accounts);
    if accounts.is_empty() {
        return diagnosis.bad(
            "accounts",
            "there is none",
            "`accounts add`, or KITE_API_KEY, or KITE_ACCOUNTS_FILE",
        );
    }
    for account in accounts {
        let name = text(&account["name"]);
        if account["enabled"] == false {
            diagnosis.note("accounts", format!("{name}: is switched off"), "");
            continue;
        }
        if let Some(problem) = account["automatic_login_problem"].as_str() {
            let state = text(&account["automatic_login"]);
            let found = format!("{name}: logging in by itself is {state}: {problem}");
            let works = matches!(account["token"].as_str(), Some("valid" | "expiring"));
            let (verdict, advice) = match state.as_str() {
                // Today it ticks; tomorrow somebody has to log in.
                "barred" | "stopped" if works => {
                    (Verdict::Note, format!("`accounts unbar {name}` when that is done"))
                }
                "barred" | "stopped" => {
                    let advice = "when that is done; until then";
                    (Verdict::Bad, format!("`accounts unbar {name}` {advice} `accounts login {name}`"))
                }
                _ => (Verdict::Note, "it is tried again by itself".to_owned()),
            };
            diagnosis.add("accounts", verdict, found, &advice);
        }
        match text(&account["token"]).as_str() {
            "valid" => diagnosis.good("accounts", format!("{name}: its access token works")),
            "expired" if account["simulated"] == true => {
                diagnosis.good("accounts", format!("{name}: a simulator's token never dies"));
            }
            "expiring" => diagnosis.note(
                "accounts",
                format!("{name}: its access token dies in {} s", account["token_seconds_left"]),
                "log in again after 06:00 in India",
            ),
            state => diagnosis.bad(
                "accounts",
                format!("{name}: its access token is {state}"),
                &format!("log in (`accounts login {name}`) or hand one over (`accounts token {name}`)"),
            ),
        }
        if let Some(why) = account["lost_because"].as_str().filter(|why| !why.contains("token")) {
            diagnosis.bad(
                "accounts",
                format!("{name}: is not used, {why}"),
                "its instruments went to other accounts",
            );
        }
    }
}

/// Ticks come from any address; orders do not, so nothing here is bad for the feed.
fn addresses(diagnosis: &mut Diagnosis, report: &Value) {
    for account in rows(&report["accounts"]) {
        let name = text(&account["name"]);
        match account["order_address"].as_str() {
            Some(verdict) if account["order_address_is_good"] == true => {
                diagnosis.good("address", format!("{name}: {verdict}"));
            }
            Some(verdict) => {
                diagnosis.note("address", format!("{name}: {verdict}"), "ticks are not affected");
            }
            None if report["address"].is_null() && !rows(&account["registered_addresses"]).is_empty() => {
                let found =
                    format!("{name}: whether orders leave from its registered address is not checked");
                diagnosis.note("address", found, "name a service that tells: KITE_ADDRESS_SOURCE");
            }
            None => {}
        }
    }
}

fn leases(diagnosis: &mut Diagnosis, report: &Value, instances: Option<&Value>) {
    if report["roles"]["feed"] == false {
        return diagnosis.note(
            "leases",
            "this instance has not the role `feed`, others stream",
            "ask one of them; `instances` names them",
        );
    }
    let leases = instances.map(|instances| rows(&instances["leases"]));
    for account in rows(&report["accounts"]) {
        if account["enabled"] == false || account["streamed_here"] == true {
            continue;
        }
        let name = text(&account["name"]);
        let holder = leases.iter().flatten().find(|lease| lease["account"] == account["name"]);
        match holder.and_then(|lease| lease["holder"].as_str()) {
            Some(holder) => diagnosis.note(
                "leases",
                format!("{name}: is streamed by instance `{holder}`"),
                "its ticks come from there",
            ),
            None => diagnosis.bad(
                "leases",
                format!("{name}: nobody streams it yet"),
                "a lease is taken within seconds; if it stays so, look at the database",
            ),
        }
    }
    if rows(&report["accounts"]).iter().any(|account| account["streamed_here"] == true) {
        diagnosis.good("leases", "held for what is streamed here");
    }
}

fn wishes(diagnosis: &mut Diagnosis, subscriptions: &Value, accounts: &Value) {
    let wanted = subscriptions["wanted"].as_u64().unwrap_or(0);
    if wanted == 0 {
        diagnosis.bad("subscriptions", "nothing is wanted", "`subscriptions add NIFTY:2:20:full`");
    }
    if let Some(failure) = subscriptions["store_failure"].as_str() {
        diagnosis.note(
            "subscriptions",
            format!("wishes cannot be read again: {failure}"),
            "those known stay",
        );
    }
    for line in rows(&subscriptions["unmet"]) {
        diagnosis.note("subscriptions", text(&line), "mend the wish or take it back");
    }
    for line in rows(&subscriptions["waiting_for_a_price"]) {
        diagnosis.note("subscriptions", text(&line), "the ladder is subscribed with the first price");
    }
    let refusals = rows(&subscriptions["refusals"]);
    let usable = |account: &Value| account["enabled"] == true && account["lost_because"].is_null();
    let carriers = rows(accounts).into_iter().filter(usable);
    let room: u64 = carriers.filter_map(|account| account["capacity"].as_u64()).sum();
    if !refusals.is_empty() {
        diagnosis.bad(
            "capacity",
            format!("{wanted} instruments are wanted, the accounts in use have room for {room}"),
            "ask for less, raise the priority of what matters, or add an account",
        );
    }
    for line in refusals.iter().take(MOST_NAMED) {
        diagnosis.bad("capacity", text(line), "");
    }
    if refusals.len() > MOST_NAMED {
        let more = refusals.len() - MOST_NAMED;
        diagnosis.bad("capacity", format!("{more} more wishes in part"), "`/health` names all of them");
    }
    if wanted > 0 && refusals.is_empty() {
        diagnosis.good("capacity", format!("{wanted} instruments wanted, all on an account"));
    }
}

/// Whether every exchange is closed.
fn hours(diagnosis: &mut Diagnosis, sessions: &Value) -> bool {
    let phases: Vec<(String, String)> = sessions
        .as_object()
        .into_iter()
        .flatten()
        .map(|(exchange, phase)| (exchange.clone(), text(phase)))
        .collect();
    let open: Vec<&str> =
        phases.iter().filter(|(_, phase)| phase == "open").map(|(exchange, _)| exchange.as_str()).collect();
    if open.is_empty() && !phases.is_empty() {
        diagnosis.note("hours", "no exchange trades now", "no ticks are due; one snapshot each is");
        return true;
    }
    diagnosis.good("hours", format!("trading now: {}", open.join(", ")));
    false
}

fn connections(diagnosis: &mut Diagnosis, connections: &Value) {
    for connection in rows(connections) {
        let name = text(&connection["name"]);
        match text(&connection["state"]).as_str() {
            "up" => {
                let silent = connection["silent"].as_u64().unwrap_or(0);
                if connection["rate_collapsed"] == true || connection["dataless"] == true {
                    diagnosis.bad(
                        "connections",
                        format!("{name}: stands, but ticks far below its usual rate"),
                        "it is made anew by itself; `accounts reconnect` does it now",
                    );
                } else if silent > 0 {
                    let tokens: Vec<String> =
                        rows(&connection["silent_tokens"]).iter().take(MOST_NAMED).map(text).collect();
                    diagnosis.note(
                        "connections",
                        format!("{name}: {silent} instruments are silent, such as {}", tokens.join(", ")),
                        "illiquid, suspended, or lost by the broker; `accounts reconnect` subscribes again",
                    );
                } else {
                    diagnosis.good(
                        "connections",
                        format!("{name}: stands, {} instruments", connection["instruments"]),
                    );
                }
            }
            state => diagnosis.bad(
                "connections",
                format!(
                    "{name}: {state}, {}",
                    connection["last_reason"].as_str().unwrap_or("it has not stood yet")
                ),
                connection["next_step"].as_str().unwrap_or("it is tried by itself; look again"),
            ),
        }
    }
}

fn ticks(diagnosis: &mut Diagnosis, before: &Value, after: &Value, is_quiet: bool) {
    let sum = |report: &Value| {
        rows(&report["connections"]).iter().filter_map(|connection| connection["ticks"].as_u64()).sum::<u64>()
    };
    let came = sum(after).saturating_sub(sum(before));
    match (came, is_quiet) {
        (0, true) => diagnosis.note("ticks", "none came while this looked, as is usual outside hours", ""),
        (0, false) => {
            diagnosis.bad("ticks", "none came while this looked", "the first bad step above is why");
        }
        (came, _) => diagnosis.good("ticks", format!("{came} came while this looked")),
    }
    if after["conservation"]["balanced"] == false {
        let unbalanced = text(&after["conservation"]["unbalanced"]);
        diagnosis.bad(
            "ticks",
            format!("not all are accounted for: {unbalanced}"),
            "this is a bug, please report it",
        );
    }
}

fn sinks(diagnosis: &mut Diagnosis, report: &Value) {
    for sink in rows(&report["sinks"]) {
        let (name, state) = (text(&sink["name"]), text(&sink["state"]));
        let dropped = sink["dropped"].as_u64().unwrap_or(0) + sink["failed"].as_u64().unwrap_or(0);
        if state != "up" {
            diagnosis.bad(
                "sinks",
                format!("{name}: {state}"),
                "is it running, and is REDIS_URL right? the feed goes on",
            );
        } else if dropped > 0 {
            diagnosis.note("sinks", format!("{name}: takes batches, {dropped} did not reach it so far"), "");
        } else {
            diagnosis.good("sinks", format!("{name}: takes batches"));
        }
    }
}

fn tasks(diagnosis: &mut Diagnosis, tasks: &Value) {
    for task in rows(tasks) {
        let (name, state) = (text(&task["name"]), text(&task["state"]));
        // A feed that was retired is over, not broken.
        if state == "running" || (name.starts_with("feed/") && text(&task["last_exit"]) == "cancelled") {
            continue;
        }
        let verdict = if state == "restarting" { Verdict::Note } else { Verdict::Bad };
        let found = format!("{name}: {state}, {}", text(&task["last_exit"]));
        diagnosis.add("tasks", verdict, found, "the log says more");
    }
}

fn rows(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn healthy() -> Value {
        json!({
            "instance": "a.1", "sim": false, "roles": { "feed": true, "api": true },
            "database": { "down": null, "writes_refused": null },
            "instrument_list": { "listed": 90000, "day": "2026-11-20", "failure": null },
            "accounts": [{ "name": "main", "enabled": true, "simulated": false, "token": "valid", "streamed_here": true }],
            "subscriptions": { "wanted": 100, "unmet": [], "waiting_for_a_price": [], "refusals": [] },
            "sessions": { "NSE": "open" },
            "connections": [{ "name": "main/0", "state": "up", "instruments": 100, "silent": 0, "ticks": 5 }],
            "conservation": { "balanced": true },
            "sinks": [{ "name": "redis", "state": "up", "dropped": 0, "failed": 0 }],
            "tasks": [{ "name": "http", "state": "running" }],
        })
    }

    fn check(change: impl Fn(&mut Value), step: &str, says: &str) {
        let (before, mut after) = (healthy(), healthy());
        after["connections"][0]["ticks"] = json!(9);
        change(&mut after);
        let mut diagnosis = Diagnosis::default();
        examine(&mut diagnosis, &before, &after, None);
        let found =
            diagnosis.findings.iter().find(|finding| finding.step == step && finding.found.contains(says));
        assert!(found.is_some(), "no `{says}` in\n{}", diagnosis.lines());
    }

    #[test]
    fn a_healthy_gateway_has_nothing_bad() {
        let mut diagnosis = Diagnosis::default();
        let mut after = healthy();
        after["connections"][0]["ticks"] = json!(9);
        examine(&mut diagnosis, &healthy(), &after, None);
        assert!(!diagnosis.is_bad(), "{}", diagnosis.lines());
    }

    #[test]
    fn each_broken_step_is_named() {
        check(|report| report["database"]["down"] = json!("no route"), "database", "is down: no route");
        check(
            |report| report["accounts"][0]["token"] = json!("refused"),
            "accounts",
            "main: its access token is refused",
        );
        check(|report| report["accounts"] = json!([]), "accounts", "there is none");
        check(
            |report| {
                report["accounts"][0]["automatic_login"] = json!("barred");
                report["accounts"][0]["automatic_login_problem"] = json!("the broker refused the code");
            },
            "accounts",
            "main: logging in by itself is barred: the broker refused the code",
        );
        check(
            |report| report["accounts"][0]["streamed_here"] = json!(false),
            "leases",
            "nobody streams it yet",
        );
        check(|report| report["subscriptions"]["wanted"] = json!(0), "subscriptions", "nothing is wanted");
        check(
            |report| report["subscriptions"]["refusals"] = json!(["wish `a`: 3 of 9"]),
            "capacity",
            "wish `a`",
        );
        check(|report| report["sessions"]["NSE"] = json!("closed"), "hours", "no exchange trades");
        check(
            |report| report["connections"][0]["state"] = json!("waiting"),
            "connections",
            "main/0: waiting",
        );
        check(|report| report["connections"][0]["ticks"] = json!(5), "ticks", "none came");
        check(|report| report["sinks"][0]["state"] = json!("circuit open"), "sinks", "redis: circuit open");
        check(|report| report["instrument_list"]["listed"] = json!(0), "instruments", "there are none");
    }
}
