//! TLS with one explicit provider, and its errors in words that say what to do.

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};

use crate::KiteError;

/// Reads every certificate of a PEM text; for [`TickerConfig::extra_roots`](crate::TickerConfig::extra_roots).
///
/// # Errors
/// [`KiteError::Tls`] when there is none or one cannot be read.
pub fn roots_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, KiteError> {
    let roots: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| KiteError::Tls(format!("the pem text is damaged: {error:?}")))?;
    if roots.is_empty() {
        return Err(KiteError::Tls("the pem text holds no certificate".to_owned()));
    }
    Ok(roots)
}

/// Trusts the public web roots and `extra_roots`.
pub(super) fn connector(extra_roots: &[CertificateDer<'static>]) -> Result<TlsConnector, KiteError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in extra_roots {
        (roots.add(certificate.clone())).map_err(|error| KiteError::Tls(error.to_string()))?;
    }
    // Named, because two providers in one process make the implicit default panic.
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| KiteError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The same error, saying what is wrong with the certificate or the handshake with `host` and what to do.
pub(super) fn explained(error: io::Error, host: &str) -> io::Error {
    let explanation = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(wrong)) => of_certificate(wrong, host),
        Some(Error::InvalidMessage(_)) => {
            Some(format!("{host} does not speak tls on this port; check the url"))
        }
        Some(Error::AlertReceived(alert)) => Some(format!("{host} refused the tls handshake: {alert:?}")),
        Some(_) => None,
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Some(format!("{host} ended the connection during the tls handshake"))
        }
        None => None,
    };
    explanation.map_or(error, io::Error::other)
}

fn of_certificate(wrong: &CertificateError, host: &str) -> Option<String> {
    Some(match wrong {
        CertificateError::UnknownIssuer => format!(
            "the certificate of {host} is signed by nobody we trust; if the server is yours, add its root to the \
             extra roots; if not, something between here and there answers in its place"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
            "the certificate of {host} has expired; check this machine's clock, then ask who runs the server"
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {host} is not valid yet; check this machine's clock")
        }
        CertificateError::NotValidForName => {
            format!("the certificate is not for {host}; check the host in the url")
        }
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "the certificate is not for {host} but for {}; check the host in the url",
            presented.join(", ")
        ),
        CertificateError::Revoked => {
            format!("the certificate of {host} was revoked; do not trust this server")
        }
        other => format!("the certificate of {host} cannot be trusted: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
    use tokio::io::AsyncWriteExt;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};

    use super::*;

    /// What a client that trusts our root says about a server that shows the certificate made by `params`.
    async fn check(params: impl FnOnce(&mut CertificateParams), trusted: bool, expected: &str) {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut own = CertificateParams::new(["ticker.test".to_owned()]).unwrap();
        params(&mut own);
        let shown = own.signed_by(&key, &authority).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![shown.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let roots = if trusted { roots_from_pem(authority.pem().as_bytes()).unwrap() } else { Vec::new() };
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        let name = ServerName::try_from("ticker.test").unwrap();
        let (client, _server) = tokio::join!(
            connector(&roots).unwrap().connect(name, ours),
            TlsAcceptor::from(Arc::new(server)).accept(theirs),
        );
        let said = match client {
            Ok(_) => "fine".to_owned(),
            Err(error) => explained(error, "ticker.test").to_string(),
        };
        assert!(said.starts_with(expected), "{said}");
    }

    #[tokio::test]
    async fn certificate_errors_say_what_to_do() {
        check(|_| {}, true, "fine").await;
        check(|_| {}, false, "the certificate of ticker.test is signed by nobody we trust; if the server")
            .await;
        check(
            |own| own.not_after = date_time_ymd(2020, 1, 1),
            true,
            "the certificate of ticker.test has expired; check this machine's clock",
        )
        .await;
        check(
            |own| own.not_before = date_time_ymd(4000, 1, 1),
            true,
            "the certificate of ticker.test is not valid yet; check this machine's clock",
        )
        .await;
        check(
            |own| *own = CertificateParams::new(["other.test".to_owned()]).unwrap(),
            true,
            "the certificate is not for ticker.test but for ",
        )
        .await;
    }

    #[tokio::test]
    async fn a_server_without_tls_is_called_that() {
        let check = async |said: &[u8], expected: &str| {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            theirs.write_all(said).await.unwrap();
            let name = ServerName::try_from("ticker.test").unwrap();
            let client = connector(&[]).unwrap();
            let (client, ()) = tokio::join!(client.connect(name, ours), async {
                theirs.shutdown().await.unwrap();
            });
            assert_eq!(explained(client.unwrap_err(), "ticker.test").to_string(), expected);
        };
        check(
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "ticker.test does not speak tls on this port; check the url",
        )
        .await;
        check(b"", "ticker.test ended the connection during the tls handshake").await;
    }

    #[test]
    fn pem_without_a_certificate_is_refused() {
        for (pem, said) in [
            ("", "tls cannot be set up: the pem text holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n", "tls cannot be set up: the pem text is damaged"),
        ] {
            let error = roots_from_pem(pem.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
