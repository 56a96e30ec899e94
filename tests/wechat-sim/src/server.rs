//! The listeners: the simulator's own, which can be closed and opened again on the same port, and the
//! host a scripted redirect points to, which counts who comes.
//!
//! Closing drops the listener and every connection, so that a connect is refused as if the machine were
//! away. A function already running goes on: it runs in a task of its own (see `invoke`).

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::wire::{self, Reply};
use crate::{World, route};

/// Whether the simulator listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Closed,
    /// The handle was dropped.
    Gone,
}

/// Listens until the handle is dropped.
pub(crate) async fn run(world: Arc<World>, mut listener: TcpListener) {
    let Ok(address) = listener.local_addr() else {
        return;
    };
    let mut gate = world.gate.subscribe();
    loop {
        accept_while_open(&world, listener, &mut gate).await;
        world.listening.send_replace(false);
        let Ok(now) = gate
            .wait_for(|&now| now != Gate::Closed)
            .await
            .map(|now| *now)
        else {
            return;
        };
        if now == Gate::Gone {
            return;
        }
        listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                // Somebody else has the port for a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        world.listening.send_replace(true);
    }
}

async fn accept_while_open(
    world: &Arc<World>,
    listener: TcpListener,
    gate: &mut watch::Receiver<Gate>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = gate.wait_for(|&now| now != Gate::Open) => break,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(Arc::clone(world), stream));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(world: Arc<World>, mut stream: TcpStream) {
    // Answers are small; without this they would wait for the client's ACK.
    let _ = stream.set_nodelay(true);
    let mut unread = Vec::new();
    while let Some(request) = wire::read_request(&mut stream, &mut unread).await {
        let exchange = route(&world, &request).await;
        let may_stay = wire::write_reply(&mut stream, exchange.reply).await;
        // Only now is the call over for its caller.
        drop(exchange.in_flight);
        if !may_stay || request.closes {
            wire::close(stream).await;
            return;
        }
    }
}

/// The host no client may follow a redirect to.
pub(crate) async fn run_elsewhere(world: Arc<World>, listener: TcpListener) {
    let mut gate = world.gate.subscribe();
    loop {
        tokio::select! {
            _ = gate.wait_for(|&now| now == Gate::Gone) => return,
            accepted = listener.accept() => {
                let Ok((mut stream, _)) = accepted else { continue };
                world.ledger.write(Ledger::redirect_was_followed);
                tokio::spawn(async move {
                    if wire::read_request(&mut stream, &mut Vec::new()).await.is_some() {
                        wire::write_reply(&mut stream, Reply::status(200)).await;
                    }
                });
            }
        }
    }
}
