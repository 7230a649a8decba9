use super::*;

fn script(text: &str) -> Result<Vec<FaultPlan>, String> {
    fault_script(text).map_err(|error| error.to_string())
}

#[test]
fn a_script_is_a_list_of_tables() {
    let plans = script(
        "# the morning\n[[fault]]\nat = \"12s\"\nfault = \"mute\"\nfor = \"5s\"\nconnection = 2\n\n\
         [[fault]]\nfault = \"refuse\"\ndoor = \"rest\"\nstatus = 502\nhtml = true\ntimes = 3\n",
    )
    .unwrap();
    let second = Duration::from_secs;
    assert_eq!(plans[0], FaultPlan::new(Fault::Mute).connection(2).at(second(12)).lasting(second(5)));
    let refuse = Fault::Refuse { door: Door::Rest, status: 502, html: true, path: None };
    assert_eq!(plans[1], FaultPlan::new(refuse).times(3));
    assert_eq!(script("").unwrap(), []);
}

#[test]
fn every_fault_survives_being_written_and_read() {
    let tokens = vec![InstrumentToken(256_265)];
    let by = Duration::from_millis(1_500);
    for fault in [
        Fault::Mute,
        Fault::NoPong,
        Fault::HalfOpen,
        Fault::Reset,
        Fault::Drop,
        Fault::Close { code: 1011, reason: "why".to_owned() },
        Fault::Refuse { door: Door::Handshake, status: 429, html: false, path: Some("/ws".to_owned()) },
        Fault::Delay { door: Door::Accept, by },
        Fault::TruncatedFrame { percent: 5.0 },
        Fault::UnknownPacket { percent: 100.0, length: Some(77) },
        Fault::WrongLength { percent: 0.5 },
        Fault::BigFrame { packets: 3_000 },
        Fault::Overlong { bytes: 100_000 },
        Fault::RateCollapse { percent: 2.5 },
        Fault::SilentTokens { tokens: tokens.clone() },
        Fault::NeverLive { tokens: Vec::new() },
        Fault::LateSubscription { tokens, by },
        Fault::DuplicateText,
        Fault::ReorderText,
        Fault::Text { texts: vec!["{}".to_owned()] },
        Fault::ExpireToken,
        Fault::Restart { down: by },
    ] {
        let mut plan = FaultPlan::new(fault).at(by);
        if matches!(plan.fault, Fault::BigFrame { .. } | Fault::Overlong { .. }) {
            plan = plan.times(1);
        }
        let json = to_json(&plan).to_string();
        assert_eq!(from_json(json.as_bytes()).unwrap(), [plan], "{json}");
    }
}

#[test]
fn a_mistake_is_named_with_its_line_and_what_is_allowed() {
    for (text, place, words) in [
        ("[[fault]]\nfault = \"mut\"\n", "line 2", &["unknown variant `mut`", "`mute`", "`restart`"][..]),
        ("\n\n[[fault]]\nfault = \"mute\"\nfro = \"1s\"\n", "line 5", &["unknown field `fro`", "`for`"]),
        ("[[fault]]\nfault = \"mute\"\nat = \"soon\"\n", "line 3", &["`soon`", "`12s`"]),
        (
            "[[fault]]\nfault = \"mute\"\n[[fault]]\nfault = \"rate-collapse\"\n",
            "line 3",
            &["needs `percent`"],
        ),
        ("[[fault]]\nfault = \"mute\"\npercent = 3\n", "line 1", &["does not take `percent`", "`times`"]),
        ("[[fault]]\nfault = \"refuse\"\nstatus = 503\n", "line 1", &["needs `door`"]),
        ("[[fault]]\nfault = \"refuse\"\ndoor = \"window\"\n", "line 3", &["`window`", "`handshake`"]),
        ("[[fault]]\nfault = \"refuse\"\ndoor = \"accept\"\nstatus = 503\n", "line 1", &["`rest`"]),
        ("[[fault]]\nfault = \"refuse\"\ndoor = \"rest\"\nstatus = 200\n", "line 1", &["400 to 599"]),
        ("[[fault]]\nfault = \"reset\"\nfor = \"1s\"\n", "line 1", &["does not take `for`"]),
        ("[[fault]]\nfault = \"rate-collapse\"\npercent = 101\n", "line 1", &["from 0 to 100"]),
        ("[[fault]]\nfault = \"mute\"\ntimes = 0\n", "line 1", &["at least 1"]),
        ("[[fault]]\nfault = \"mute\"\napi_key = \"a\"\nconnection = 1\n", "line 1", &["not both"]),
        (
            "[[fault]]\nfault = \"delay\"\ndoor = \"accept\"\nby = \"1s\"\napi_key = \"k\"\n",
            "line 1",
            &["api_key"],
        ),
        ("[faults]\n", "line 1", &["`faults`", "`fault`"]),
    ] {
        let error = script(text).unwrap_err();
        assert!(error.starts_with(place), "{text}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
    }
}

#[test]
fn json_is_one_fault_or_a_list() {
    let mute = r#"{"fault":"mute"}"#;
    assert_eq!(from_json(mute.as_bytes()).unwrap().len(), 1);
    assert_eq!(from_json(format!(" [{mute},{mute}]").as_bytes()).unwrap().len(), 2);
    let error = |body: &str| from_json(body.as_bytes()).unwrap_err().to_string();
    let unknown = error(r#"{"fault":"mut"}"#);
    assert!(
        unknown.starts_with("line 1 column 14: unknown variant `mut`, expected one of `mute`"),
        "{unknown}"
    );
    assert_eq!(
        error(&format!(r#"[{mute},{{"fault":"rate-collapse"}}]"#)),
        "fault 2: `rate-collapse` needs `percent`"
    );
    assert!(error("").starts_with("line 1 column 0"));
}

#[test]
fn the_page_about_faults_is_right() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulator.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut scripts = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    assert!(scripts.all(|script| !fault_script(script).unwrap().is_empty()));
    let requests = page.lines().filter_map(|line| line.strip_prefix("curl -d '")?.split('\'').next());
    assert_eq!(requests.map(|body| from_json(body.as_bytes()).unwrap().len()).sum::<usize>(), 2);
    // The words, by the mistake that names them all.
    let words = from_json(br#"{"fault":""}"#).unwrap_err().to_string();
    let words: Vec<&str> = words.split('`').skip(3).step_by(2).collect();
    assert_eq!(words.len(), 22, "{words:?}");
    for word in words {
        assert!(page.contains(&format!("\n| `{word}` |")), "{word}");
    }
}
