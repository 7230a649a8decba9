//! What other instances stream is in the answers; when it cannot be read the answer says so.

use market_model::{InstrumentToken, UnixNanos};

use super::*;
use crate::fixture::SHARE;
use crate::{Elsewhere, LatestValue, Reading};

/// Another instance that streams these, or cannot be read.
struct Other {
    values: Vec<LatestValue>,
    down: bool,
    asked: Mutex<Vec<InstrumentToken>>,
}

impl Other {
    fn with(values: &[(InstrumentToken, i64, i64)], down: bool) -> Arc<Self> {
        let market = Market::new();
        let value = |(token, paise, later): &(InstrumentToken, i64, i64)| LatestValue {
            snapshot: market.snapshot(*token, *paise),
            ts_publish: UnixNanos(NOW.0 + later),
            sim: true,
        };
        Arc::new(Self { values: values.iter().map(value).collect(), down, asked: Mutex::default() })
    }

    async fn serve(self: &Arc<Self>) -> Served {
        Served::with(Setup { elsewhere: self.clone(), ..Setup::default() }).await
    }
}

impl Elsewhere for Other {
    fn streams(&self, token: InstrumentToken) -> bool {
        self.values.iter().any(|value| value.snapshot.token() == token)
    }

    fn read(&self, tokens: Vec<InstrumentToken>, _: Arc<InstrumentCatalog>) -> Reading {
        self.asked.lock().unwrap().extend(&tokens);
        let values = self.values.iter().filter(|value| tokens.contains(&value.snapshot.token())).cloned();
        let read = if self.down { Err("redis is not connected".to_owned()) } else { Ok(values.collect()) };
        Box::pin(std::future::ready(read))
    }
}

#[tokio::test]
async fn values_of_other_instances_are_answered_beside_our_own() {
    let market = Market::new();
    let (spot, call, put) = (market.spot(), market.call(25_000), market.put(25_000));
    // The call moved away a moment ago: what we know of it is older. The put has just come to us.
    let other = Other::with(&[(spot, 2_500_000, 0), (call, 10_025, 5), (put, 9_000, -5)], false);
    let mut served = other.serve().await;
    served.sink.publish(&served.market.batch(1, &[(call, 9_900), (put, 9_100)]));

    let chain = served.get("/v1/chain/NIFTY?around=0").await.json();
    assert_eq!(chain["data"]["spot"]["last_price"], 25_000.0, "{chain}");
    let row = &chain["data"]["rows"][0];
    assert_eq!((&row["call"]["last_price"], &row["put"]["last_price"]), (&json!(100.25), &json!(91.0)));
    let tick = served.get(&format!("/v1/ticks/{spot}")).await.json();
    assert_eq!(tick["data"]["last_price"], 25_000.0);
    let underlyings = served.get("/v1/underlyings").await.json();
    let nifty = &underlyings["data"][0];
    assert_eq!((&nifty["live"], &nifty["spot"]["last_price"]), (&json!(3), &json!(25_000.0)));
    assert_eq!(served.get("/health").await.json()["values"]["values"], 2, "what was read is not kept");
}

#[tokio::test]
async fn when_they_cannot_be_read_the_answer_says_so_and_our_own_go_on() {
    let market = Market::new();
    let other = Other::with(&[(market.spot(), 2_500_000, 0)], true);
    let mut served = other.serve().await;
    served.sink.publish(&served.market.batch(1, &[(SHARE, 10_000)]));
    for path in ["/v1/chain/NIFTY", "/v1/underlyings", "/v1/ticks/NSE:NIFTY%2050"] {
        let answer = served.get(path).await;
        let body = answer.json();
        assert_eq!(
            (answer.status.as_u16(), &body["error_type"]),
            (503, &json!("NetworkException")),
            "{body}"
        );
        let says = "another instance streams what is asked for, and redis is not connected";
        assert_eq!(body["message"], says);
    }
    let asked = other.asked.lock().unwrap().len();
    let ours = served.get(&format!("/v1/ticks/{SHARE}")).await.json();
    assert_eq!(ours["data"]["last_price"], 100.0);
    assert_eq!(other.asked.lock().unwrap().len(), asked, "nobody is asked for what is streamed here");
}
