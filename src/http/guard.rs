//! Which addresses a receiver of our user's choosing may have: public ones, unless its host and port are in the
//! `allow` list.
//!
//! A name is judged by the addresses it has at the moment of each connect, and the connection goes to exactly those:
//! a look at start would say nothing about the next answer of the DNS. What is not known to be public is not, so a
//! range that is given a new meaning tomorrow is refused today.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

/// How far a wire may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// WeChat's hosts, and what an operator has allowed by host and port.
    Anywhere,
    Public,
}

impl Reach {
    fn covers(self, address: IpAddr) -> bool {
        match self {
            Reach::Anywhere => true,
            Reach::Public => is_public(address),
        }
    }

    /// Whether a host written as an address may be called; a name has to be looked up.
    pub(super) fn refuses(self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.parse().is_ok_and(|address| !self.covers(address))
    }
}

/// Whether the whole internet means the same machine by it.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(matches!(a, 0 | 10 | 127 | 224..)            // this network, private, loopback, multicast, reserved
        || a == 100 && (64..128).contains(&b)      // carriers' own
        || a == 169 && b == 254                    // link-local: the clouds' metadata services
        || a == 172 && (16..32).contains(&b)       // private
        || a == 192 && b == 168                    // private
        || a == 192 && b == 0 && matches!(c, 0 | 2) // protocols, documentation
        || a == 192 && b == 88 && c == 99          // relays of a retired tunnel
        || a == 198 && matches!(b, 18 | 19)        // benchmarks
        || a == 198 && b == 51 && c == 100         // documentation
        || a == 203 && b == 0 && c == 113) // documentation
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    if let Some(inside) = embedded(address) {
        return is_public_v4(inside);
    }
    (0x2000..0x4000).contains(&a)                  // the only range that was ever given out; not: loopback, mapped,
                                                   // unspecified, local (fc00, fe80, fec0), multicast, discard
        && !(a == 0x2001 && b < 0x0200)            // protocols, Teredo among them
        && !(a == 0x2001 && b == 0x0db8)           // documentation
        && !(a == 0x3fff && b < 0x1000) // documentation
}

/// The address a gateway would take out of this one: NAT64 and 6to4. (Mapped ones are refused as they are.)
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let (high, low) = match (a, b) {
        (0x2002, _) => (b, c),
        (0x0064, 0xff9b) if [c, d, e, f] == [0; 4] => (g, h),
        _ => return None,
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d))
}

/// No address was left to connect to. Names none: it goes into the detail that support reads.
#[derive(Debug)]
pub(super) struct Internal;

impl fmt::Display for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("internal address")
    }
}

impl Error for Internal {}

/// Whether this is what a failed connect comes down to.
pub(super) fn is_internal(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if cause.is::<Internal>() {
            return true;
        }
        next = cause.source();
    }
    false
}

/// The system's resolver, without the addresses out of reach.
#[derive(Clone)]
pub(super) struct Resolver {
    system: GaiResolver,
    reach: Reach,
}

impl Resolver {
    pub(super) fn new(reach: Reach) -> Resolver {
        Resolver {
            system: GaiResolver::new(),
            reach,
        }
    }
}

type Failed = Box<dyn Error + Send + Sync>;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failed>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(ready!(self.system.poll_ready(cx))?))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, reach) = (self.system.call(name), self.reach);
        Box::pin(async move { within(reach, found.await?) })
    }
}

fn within(
    reach: Reach,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<std::vec::IntoIter<SocketAddr>, Failed> {
    let found: Vec<SocketAddr> = found.collect();
    let named = !found.is_empty();
    let mut left = found;
    left.retain(|address| reach.covers(address.ip()));
    if named && left.is_empty() {
        return Err(Internal.into());
    }
    Ok(left.into_iter())
}

#[cfg(test)]
mod tests {
    use super::{Reach, is_public, within};

    #[test]
    fn only_public_addresses_are_public() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2400:3200::1",
            "2001:4860:4860::8888",
            "2002:101:101::1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for internal in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            // Also those that would be public: nobody writes them by accident.
            "::ffff:1.1.1.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "3fff:1::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(internal.parse().unwrap()), "{internal}");
        }
    }

    #[test]
    fn a_name_is_judged_by_what_it_resolves_to() {
        let to = |addresses: &[&str]| {
            let addresses: Vec<_> = addresses.iter().map(|a| a.parse().unwrap()).collect();
            within(Reach::Public, addresses.into_iter()).map(Iterator::count)
        };
        assert_eq!(to(&["1.1.1.1:443", "10.0.0.1:443"]).unwrap(), 1);
        assert!(to(&["10.0.0.1:443", "[::1]:443"]).is_err());
        // Nothing found is not refused, it is not found.
        assert_eq!(to(&[]).unwrap(), 0);
        assert!(Reach::Public.refuses("[::ffff:127.0.0.1]"));
        assert!(!Reach::Public.refuses("localhost"));
        assert!(!Reach::Anywhere.refuses("127.0.0.1"));
    }
}
