//! The built-in simulated market as an account like any other.

use std::net::{Ipv4Addr, SocketAddr};

use kite_sim::{App, LoadConfig, SimConfig, Simulator};

use account_pool::{Account, AccountError, AccountLimits, AccountName, AccountSecrets, Problems, Secret};

use crate::config::SimSettings;
use crate::error::StartError;

/// Binds a simulator on a free loopback port and makes the account that uses it.
pub(crate) async fn bind(settings: SimSettings) -> Result<(Simulator, Account), StartError> {
    let app = App::default();
    let (app_key, app_secret) = (app.api_key.clone(), app.api_secret.clone());
    let (token, user) = (app.access_token.clone(), app.user_id.clone());
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
    let name = AccountName::new("sim")
        .map_err(|problem| AccountError::Source(Problems(vec![problem.to_owned()])))?;
    let account = Account {
        name,
        api_key: Secret::new(app_key),
        secrets: AccountSecrets {
            api_secret: Some(Secret::new(app_secret)),
            access_token: token.map(Secret::new),
            ..AccountSecrets::default()
        },
        trading_account: user.clone(),
        user_id: Some(user),
        rest_url: format!("http://{address}"),
        ticker_url: format!("ws://{address}"),
        simulated: true,
        enabled: true,
        priority: 0,
        weight: 1,
        limits: AccountLimits::default(),
        registered_addresses: Vec::new(),
        automatic_login: false,
        origin: "the simulated market".to_owned(),
    };
    Ok((simulator, account))
}
