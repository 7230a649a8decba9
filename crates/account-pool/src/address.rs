//! Whether orders leave from an address that the broker knows.
//!
//! Since April 2026 orders are taken from registered addresses only. A host with both families of addresses may leave by
//! the other one than the one that was registered, so both are looked at.

use std::fmt;
use std::net::IpAddr;

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Looks up the address that this machine is seen with from outside.
pub trait ObserveAddress: Send + Sync + 'static {
    /// The address seen when leaving by `family`; `None` when this machine cannot leave by it.
    ///
    /// # Errors
    /// What happened, in words.
    fn observe(&self, family: Family) -> impl Future<Output = Result<Option<IpAddr>, String>> + Send;
}

/// What was seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observed {
    /// When leaving by IPv4.
    pub v4: Option<IpAddr>,
    /// When leaving by IPv6.
    pub v6: Option<IpAddr>,
}

/// What that means for orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressVerdict {
    /// Every way out is registered.
    Good,
    /// It will work, because connections are pinned to this family.
    GoodWhenPinned(Family),
    /// One way out is registered and the other is not, and nothing pins connections to the first.
    Pin {
        /// The registered family.
        to: Family,
        /// The address that is not registered.
        stray: IpAddr,
    },
    /// Connections are pinned to the family that is not registered, while the other is.
    PinnedWrong {
        /// Pin to this one.
        to: Family,
    },
    /// No way out is registered.
    NotRegistered {
        /// What the broker would see.
        seen: IpAddr,
    },
    /// No address is registered here, so there is nothing to compare with.
    NothingRegistered,
    /// This machine was not seen from outside at all.
    NotSeen,
}

/// Looks both ways out. A family that cannot be looked up counts as one that is not there; its error is answered beside.
pub async fn look_outside(observer: &impl ObserveAddress) -> (Observed, Vec<String>) {
    let mut errors = Vec::new();
    let mut see = |answer: Result<Option<IpAddr>, String>| {
        answer.unwrap_or_else(|error| {
            errors.push(error);
            None
        })
    };
    let observed =
        Observed { v4: see(observer.observe(Family::V4).await), v6: see(observer.observe(Family::V6).await) };
    (observed, errors)
}

// === impl AddressVerdict ===

impl AddressVerdict {
    /// Judges what was seen against what is registered; `pinned` is the only family that connections to the broker use,
    /// if there is one.
    pub fn of(registered: &[IpAddr], observed: Observed, pinned: Option<Family>) -> Self {
        let known =
            |address: IpAddr| registered.iter().any(|one| one.to_canonical() == address.to_canonical());
        let ways = [(Family::V4, observed.v4), (Family::V6, observed.v6)];
        let used = |family| pinned.is_none_or(|pinned| pinned == family);
        let seen = ways.iter().filter_map(|(family, address)| address.map(|address| (*family, address)));
        let (used, unused): (Vec<_>, Vec<_>) = seen.partition(|(family, _)| used(*family));
        let good = |ways: &[(Family, IpAddr)]| {
            ways.iter().find(|(_, address)| known(*address)).map(|(family, _)| *family)
        };
        let Some(&(_, first)) = used.first() else {
            return match good(&unused) {
                Some(to) if !registered.is_empty() => Self::PinnedWrong { to },
                _ => Self::NotSeen,
            };
        };
        if registered.is_empty() {
            return Self::NothingRegistered;
        }
        let stray = used.iter().find(|(_, address)| !known(*address));
        match (stray, good(&used)) {
            (None, _) => match (pinned, unused.iter().any(|(_, address)| !known(*address))) {
                (Some(family), true) => Self::GoodWhenPinned(family),
                _ => Self::Good,
            },
            (Some(&(_, stray)), Some(to)) => Self::Pin { to, stray },
            (Some(_), None) => match good(&unused) {
                Some(to) => Self::PinnedWrong { to },
                None => Self::NotRegistered { seen: first },
            },
        }
    }

    /// Whether the broker will take orders from here.
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Good | Self::GoodWhenPinned(_))
    }
}

impl fmt::Display for AddressVerdict {
    /// One sentence that says what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("orders leave from a registered address"),
            Self::GoodWhenPinned(family) => {
                write!(f, "orders leave from a registered address because connections are pinned to {family}; keep it so")
            }
            Self::Pin { to, stray } => write!(
                f,
                "orders may leave from {stray}, which is not registered; set KITE_ADDRESS_FAMILY={} to use the registered address only",
                to.setting()
            ),
            Self::PinnedWrong { to } => write!(
                f,
                "connections are pinned to the family whose address is not registered; set KITE_ADDRESS_FAMILY={}",
                to.setting()
            ),
            Self::NotRegistered { seen } => write!(
                f,
                "the broker sees {seen}, which is not registered, and will refuse orders; register it in the Kite developer console (one change a week), or send orders from a registered host"
            ),
            Self::NothingRegistered => f.write_str(
                "no registered address is configured for this account, so orders cannot be checked; add registered_addresses",
            ),
            Self::NotSeen => f.write_str(
                "the address that the broker sees could not be found out; check the connection, then run the check again",
            ),
        }
    }
}

// === impl Family ===

impl Family {
    const fn setting(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "203.0.113.7";
    const V6: &str = "2001:db8::1";

    fn check(registered: &[&str], v4: Option<&str>, v6: Option<&str>, pinned: Option<Family>, expect: &str) {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let registered: Vec<IpAddr> = registered.iter().copied().map(address).collect();
        let verdict =
            AddressVerdict::of(&registered, Observed { v4: v4.map(address), v6: v6.map(address) }, pinned);
        let told = verdict.to_string();
        assert!(told.contains(expect), "{verdict:?}: `{told}` does not say `{expect}`");
        assert_eq!(verdict.is_good(), told.starts_with("orders leave from a registered"), "{verdict:?}");
    }

    #[test]
    fn every_verdict_says_what_to_do() {
        let other = "198.51.100.1";
        check(&[V4], Some(V4), None, None, "orders leave from a registered address");
        check(&[V4, V6], Some(V4), Some(V6), None, "orders leave from a registered address");
        check(&["::ffff:203.0.113.7"], Some(V4), None, None, "orders leave from a registered address");
        check(
            &[V4],
            Some(V4),
            Some(V6),
            None,
            "2001:db8::1, which is not registered; set KITE_ADDRESS_FAMILY=v4",
        );
        check(&[V6], Some(V4), Some(V6), None, "set KITE_ADDRESS_FAMILY=v6");
        check(&[V4], Some(V4), Some(V6), Some(Family::V4), "keep it so");
        check(
            &[V4],
            Some(V4),
            Some(V6),
            Some(Family::V6),
            "pinned to the family whose address is not registered",
        );
        check(&[V4], Some(V4), None, Some(Family::V6), "set KITE_ADDRESS_FAMILY=v4");
        check(&[V4], Some(other), None, None, "sees 198.51.100.1, which is not registered");
        check(&[], Some(V4), Some(V6), None, "add registered_addresses");
        check(&[V4], None, None, None, "could not be found out");
        check(&[], None, Some(V6), Some(Family::V4), "could not be found out");
    }

    struct OnlyV4;

    impl ObserveAddress for OnlyV4 {
        async fn observe(&self, family: Family) -> Result<Option<IpAddr>, String> {
            match family {
                Family::V4 => Ok(V4.parse().ok()),
                Family::V6 => Err("no route".to_owned()),
            }
        }
    }

    #[tokio::test]
    async fn a_family_that_cannot_be_looked_up_is_not_there() {
        let (observed, errors) = look_outside(&OnlyV4).await;
        assert_eq!(observed, Observed { v4: V4.parse().ok(), v6: None });
        assert_eq!(errors, ["no route"]);
    }
}
