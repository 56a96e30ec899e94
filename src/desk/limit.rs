//! How often somebody may try to log in: five a minute from one address for one name, and thirty a minute for a name
//! or an address altogether. What is beyond waits for the next minute; who is in stays in.
//!
//! And how often one account may see what is masked: thirty at once and thirty more an hour is a person on the telephone,
//! beyond it somebody copies the lot.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

const FEW: NonZeroU32 = NonZeroU32::new(5).expect("five");
const MANY: NonZeroU32 = NonZeroU32::new(30).expect("thirty");

pub(super) struct Logins {
    pairs: Limiter<(String, IpAddr)>,
    names: Limiter<String>,
    addresses: Limiter<IpAddr>,
}

impl Logins {
    pub(super) fn new() -> Logins {
        Logins {
            pairs: RateLimiter::hashmap(Quota::per_minute(FEW)),
            names: RateLimiter::hashmap(Quota::per_minute(MANY)),
            addresses: RateLimiter::hashmap(Quota::per_minute(MANY)),
        }
    }

    /// Whether this try may go on.
    pub(super) fn may_try(&self, name: &str, address: IpAddr) -> bool {
        // Names somebody made up are forgotten once they may be tried again.
        self.pairs.retain_recent();
        self.names.retain_recent();
        self.addresses.retain_recent();
        // A pair that may not is no try of the address's other people.
        self.pairs.check_key(&(name.to_owned(), address)).is_ok()
            && self.addresses.check_key(&address).is_ok()
            && self.names.check_key(&name.to_owned()).is_ok()
    }
}

/// Of this desk's process; what was shown is in the audit log, whichever desk showed it.
pub(super) struct Reveals(Limiter<String>);

impl Reveals {
    pub(super) fn new() -> Reveals {
        Reveals(RateLimiter::hashmap(Quota::per_hour(MANY)))
    }

    /// Whether this account may see one more.
    pub(super) fn may_see(&self, name: &str) -> bool {
        self.0.retain_recent();
        self.0.check_key(&name.to_owned()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_a_minute_from_one_place_and_others_go_on() {
        let logins = Logins::new();
        let (here, there) = ([127, 0, 0, 1].into(), [10, 0, 0, 1].into());
        for _ in 0..5 {
            assert!(logins.may_try("wang", here));
        }
        assert!(!logins.may_try("wang", here));
        assert!(logins.may_try("li", here));
        assert!(logins.may_try("wang", there));
    }
}
