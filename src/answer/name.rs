//! How a notification is named by whoever asks for it.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::outbox::act::Seen;
use crate::outbox::inspect::{self, Notification};

/// How a notification is named: its id, or its key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    Id(i64),
    Key(Uuid),
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        let text = text.trim_start_matches('#');
        text.parse()
            .map(Name::Id)
            .or_else(|_| text.parse().map(Name::Key))
            .map_err(|_| "neither an id (a number) nor a key (a UUID)".to_owned())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Id(id) => id.fmt(f),
            Name::Key(key) => key.fmt(f),
        }
    }
}

impl Name {
    /// Whether it is the name of what was seen.
    pub(crate) fn is_of(self, seen: &Seen) -> bool {
        match self {
            Name::Id(id) => id == seen.id.0,
            Name::Key(key) => key == seen.key.0,
        }
    }

    /// The notification of this name; two, when a failover handed out the id twice.
    pub(crate) async fn read(self, conn: &mut PgConnection) -> sqlx::Result<Vec<Notification>> {
        match self {
            Name::Id(id) => inspect::of_ids(conn, &[id]).await,
            Name::Key(key) => {
                let hits = inspect::of_key(&mut *conn, key).await?;
                inspect::read(conn, &hits).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn a_notification_is_named_by_number_or_key() {
        assert!(matches!("4711".parse(), Ok(Name::Id(4711))));
        assert!(matches!("#4711".parse(), Ok(Name::Id(4711))));
        assert!(matches!(
            "5f0c3c1e-6f0e-4f0e-9d43-0a4d7e1c2b3a".parse(),
            Ok(Name::Key(_))
        ));
        assert!("李女士".parse::<Name>().is_err());
    }
}
