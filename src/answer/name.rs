//! How a notification is named by whoever asks for it.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::outbox::act::Seen;
use crate::outbox::inspect::{self, Notification};
use crate::words::mask::folded;

/// How a notification is named: its id, or its key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    Id(i64),
    Key(Uuid),
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        let text = meant(text);
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

/// What was typed into a box, as it is meant: `＃１４１`, as a Chinese input method types it, is #141, and so is `通知 #141`, as
/// the pages call it. A name stays as it is, for it may be written in full width.
pub(crate) fn meant(typed: &str) -> String {
    let plain: String = typed.chars().map(folded).collect();
    if let Some((called, number)) = plain.trim().rsplit_once('#')
        && ["", "通知", "notification"].contains(&called.trim().to_lowercase().as_str())
        && number.trim().parse::<i64>().is_ok()
    {
        return format!("#{}", number.trim());
    }
    let is_number = plain.is_ascii() && plain.contains(|c: char| c.is_ascii_digit());
    let text = if is_number { &plain } else { typed };
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Name, meant};

    #[test]
    fn what_an_input_method_types_is_meant_as_it_looks() {
        for (typed, expected) in [
            (" 10086\u{3000}", "10086"),
            ("１４１", "141"),
            ("＃１４１", "#141"),
            ("通知 #141", "#141"),
            ("通知＃１４１", "#141"),
            ("Notification #141", "#141"),
            ("１３８－００１３－８０００", "138-0013-8000"),
            ("ＳＴＡＦＦ７", "STAFF7"),
            ("（北京）李女士", "（北京）李女士"),
            ("李女士 #2", "李女士 #2"),
            ("ＶＩＰ", "ＶＩＰ"),
        ] {
            assert_eq!(meant(typed), expected, "{typed}");
        }
    }

    #[test]
    fn a_notification_is_named_by_number_or_key() {
        assert!(matches!("4711".parse(), Ok(Name::Id(4711))));
        assert!(matches!("#4711".parse(), Ok(Name::Id(4711))));
        assert!(matches!("＃４７１１".parse(), Ok(Name::Id(4711))));
        assert!(matches!(
            "5f0c3c1e-6f0e-4f0e-9d43-0a4d7e1c2b3a".parse(),
            Ok(Name::Key(_))
        ));
        assert!("李女士".parse::<Name>().is_err());
    }
}
