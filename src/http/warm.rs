//! Warm connections to one address: kept from call to call, at most one for each call in flight.
//!
//! The one used last is used next, so that those no longer needed grow old and are closed. TLS sessions
//! are resumed, which matters because WeChat hangs up often.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::Uri;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::timeout;
use tower_service::Service as _;

use super::guard::{Internal, Reach, Resolver, is_internal};
use super::{Trouble, causes};

/// Shorter than any gateway keeps an idle connection, so that a call seldom meets one just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) type Connection = SendRequest<Full<Bytes>>;

pub(super) struct Warm {
    origin: Uri,
    connector: HttpsConnector<HttpConnector<Resolver>>,
    reach: Reach,
    connect_timeout: Duration,
    /// The oldest in front.
    idle: Mutex<VecDeque<(Instant, Connection)>>,
}

impl Warm {
    pub(super) fn new(
        origin: Uri,
        reach: Reach,
        connect_timeout: Duration,
    ) -> std::io::Result<Warm> {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::new(reach));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http() // Plain http was refused before, but for this machine.
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Warm {
            origin,
            connector,
            reach,
            connect_timeout,
            idle: Mutex::default(),
        })
    }

    pub(super) fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while let Some((since, connection)) = idle.pop_back() {
            if now.duration_since(since) >= IDLE_TIMEOUT {
                idle.clear(); // The others are older still.
            } else if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// Takes a connection back whose answer was read to the end.
    pub(super) fn keep(&self, connection: Connection) {
        if connection.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        idle.push_back((now, connection));
        while let Some((since, connection)) = idle.front()
            && (connection.is_closed() || now.duration_since(*since) >= IDLE_TIMEOUT)
        {
            idle.pop_front();
        }
    }

    pub(super) async fn connect(&self) -> Result<Connection, Trouble> {
        let opened = async {
            // The connector looks up names only; an address it takes as it is.
            if self.reach.refuses(self.origin.host().unwrap_or_default()) {
                return Err(Internal.into());
            }
            let stream = self.connector.clone().call(self.origin.clone()).await?;
            http1::handshake(stream).await.map_err(Into::into)
        };
        let (connection, driver) = match timeout(self.connect_timeout, opened).await {
            Err(_elapsed) => return Err(Trouble::NotReached("connect timed out".to_owned())),
            Ok(Err(error)) => return Err(not_reached(error)),
            Ok(Ok(opened)) => opened,
        };
        // It ends with the connection; what goes wrong on it reaches the call.
        tokio::spawn(driver);
        Ok(connection)
    }
}

fn not_reached(error: Box<dyn std::error::Error + Send + Sync>) -> Trouble {
    if is_internal(&*error) {
        return Trouble::Internal;
    }
    Trouble::NotReached(causes(&*error))
}
