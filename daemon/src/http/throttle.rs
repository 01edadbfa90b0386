//! How often one address may come with a wrong token.
//!
//! A token cannot be guessed (256 random bits), so this keeps no guesser out. It keeps somebody
//! who tries from filling the log and the audit log, and tells a client with an old token to slow
//! down. A right token is never refused: whoever shares the address, as all of this machine do,
//! must not be able to lock others out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses that are remembered. More share one allowance.
const PEERS_MAX: usize = 4096;
/// The key of all those that find no place.
const THE_REST: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// An allowance of failures for each address: so many at once, and one more each period.
///
/// Kept is, for each address, when its allowance will be whole again (a bucket of tokens, written
/// as one time); an address whose time has passed is as good as unknown.
#[derive(Debug)]
pub struct Throttle {
    at_once: u32,
    period: Duration,
    whole_at: Mutex<HashMap<IpAddr, Instant>>,
}

impl Throttle {
    /// `at_once` failures, then one in each `period`.
    pub fn new(at_once: u32, period: Duration) -> Self {
        Self {
            at_once,
            period,
            whole_at: Mutex::default(),
        }
    }

    /// Counts a failure; an error when there were too many, with the time until the next one is
    /// counted again.
    pub fn failed(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = key_of(peer);
        if whole_at.len() >= PEERS_MAX && !whole_at.contains_key(&key) {
            whole_at.retain(|_, whole_at| *whole_at > now);
            if whole_at.len() >= PEERS_MAX {
                key = THE_REST;
            }
        }
        let whole = whole_at.get(&key).map_or(now, |whole| now.max(*whole));
        let debt = whole.duration_since(now) + self.period;
        let allowed = self.period.saturating_mul(self.at_once);
        if debt > allowed {
            return Err(debt.saturating_sub(allowed));
        }
        whole_at.insert(key, now + debt);
        Ok(())
    }
}

/// Whoever has one address of an IPv6 network has 2^64 of them.
fn key_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(3);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn failures_are_allowed_in_a_burst_and_then_one_each_period() {
        let throttle = Throttle::new(3, PERIOD);
        let (peer, now) = (address("192.0.2.1"), Instant::now());
        for _ in 0..3 {
            assert_eq!(throttle.failed(peer, now), Ok(()));
        }
        assert_eq!(throttle.failed(peer, now), Err(PERIOD));
        // Being refused costs nothing more.
        assert_eq!(throttle.failed(peer, now + PERIOD / 3), Err(PERIOD * 2 / 3));
        assert_eq!(throttle.failed(peer, now + PERIOD), Ok(()));
        assert!(throttle.failed(peer, now + PERIOD).is_err());
        let later = now + PERIOD * 10;
        for _ in 0..3 {
            assert_eq!(throttle.failed(peer, later), Ok(()));
        }
        assert!(throttle.failed(peer, later).is_err());
    }

    #[test]
    fn addresses_do_not_disturb_each_other_but_one_network_is_one() {
        let throttle = Throttle::new(1, PERIOD);
        let now = Instant::now();
        for peer in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"] {
            assert_eq!(throttle.failed(address(peer), now), Ok(()), "{peer}");
        }
        for peer in ["::ffff:192.0.2.1", "2001:db8::2"] {
            assert!(throttle.failed(address(peer), now).is_err(), "{peer}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let throttle = Throttle::new(1, PERIOD);
        let now = Instant::now();
        let peer = |number: usize| {
            let number = u32::try_from(number).unwrap();
            IpAddr::V4(std::net::Ipv4Addr::from(number))
        };
        for number in 0..PEERS_MAX {
            assert_eq!(throttle.failed(peer(number), now), Ok(()));
        }
        assert_eq!(throttle.failed(peer(PEERS_MAX), now), Ok(()));
        assert!(throttle.failed(peer(PEERS_MAX + 1), now).is_err());
        assert!(throttle.whole_at.lock().unwrap().len() <= PEERS_MAX + 1);
        assert_eq!(throttle.failed(peer(PEERS_MAX + 1), now + PERIOD), Ok(()));
        assert_eq!(throttle.whole_at.lock().unwrap().len(), 1);
    }
}
