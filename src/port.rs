//! A port of ours: so many connections at once, and none for long to whoever keeps silent.
//!
//! Every connection holds a file of the process, and the calls and the database need some, too: without a bound, whoever
//! reaches the port could take them all and stop the delivery. What comes beyond waits in the system's queue.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_service::Service as _;

/// How long we wait for a request's head, and for its body.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// A quarter of the files that a process may open where nobody has raised its limit.
const CONNECTIONS: usize = 256;

/// Serves until `stop` ends, and then what is under way. A handler may ask for the [`ConnectInfo`] of its visitor.
pub(crate) async fn serve(listener: TcpListener, routes: Router, stop: impl Future<Output = ()>) {
    bounded(listener, routes, CONNECTIONS, PATIENCE, stop).await;
}

async fn bounded(
    mut listener: TcpListener,
    routes: Router,
    connections: usize,
    patience: Duration,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(connections));
    let under_way = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            // What a listener fails at passes by; axum waits a second and tries again.
            (place, Listener::accept(&mut listener).await)
        };
        let (place, (stream, peer)) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let routes = routes.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            routes.clone().call(request)
        });
        let connection = http.serve_connection(TokioIo::new(stream), answer);
        let connection = under_way.watch(connection);
        tokio::spawn(async move {
            // It ends with the visitor's line, which is nobody's fault here.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    under_way.shutdown().await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn the_silent_give_their_places_up_and_the_next_gets_in() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(|| async { "hello" }));
        let (stop, stopped) = oneshot::channel::<()>();
        let patience = Duration::from_millis(500);
        let port = tokio::spawn(bounded(listener, routes, 2, patience, async {
            let _ = stopped.await;
        }));
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut next = TcpStream::connect(address).await.unwrap();
        next.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            .await
            .unwrap();
        let mut answer = [0; 12];
        let early = timeout(patience / 5, next.read_exact(&mut answer));
        assert!(early.await.is_err(), "there are two places");
        next.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        for stream in [&mut silent, &mut half] {
            assert_eq!(stream.read(&mut answer).await.unwrap(), 0);
        }
        drop(stop);
        port.await.unwrap();
    }
}
