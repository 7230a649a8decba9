//! The built-in simulated market as an account like any other.

use std::net::{Ipv4Addr, SocketAddr};

use kite_sim::{App, LoadConfig, SimConfig, SimError, Simulator};

use crate::config::{Account, SimSettings};
use crate::secret::Secret;

/// Binds a simulator on a free loopback port and makes the account that uses it.
pub(crate) async fn bind(settings: SimSettings) -> Result<(Simulator, Account), SimError> {
    let app = App::default();
    let account = Account {
        name: "sim".to_owned(),
        api_key: Secret::new(app.api_key.clone()),
        access_token: Secret::new(app.access_token.clone().unwrap_or_default()),
        rest_url: String::new(),
        ticker_url: String::new(),
        simulated: true,
    };
    let load =
        settings.load.map(|(instruments, ticks_per_second)| LoadConfig { instruments, ticks_per_second });
    let config = SimConfig {
        seed: settings.seed,
        speed: settings.speed,
        apps: vec![app],
        load,
        ..SimConfig::default()
    };
    let simulator = Simulator::bind(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let address = simulator.addr();
    let (rest_url, ticker_url) = (format!("http://{address}"), format!("ws://{address}"));
    Ok((simulator, Account { rest_url, ticker_url, ..account }))
}
