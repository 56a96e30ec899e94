//! The `PG*` variables, for a machine where `psql` already works without a URL.
//!
//! sqlx reads them from the process's environment by itself, though not those of `.env`, so they are
//! made into one URL here. Each part stands in the query, where sqlx takes any text percent-encoded.

use url::Url;

use super::layers::{Found, Layers};
use super::sources::Origin;

/// Variable → the URL parameter sqlx knows it by. `PGHOSTADDR` comes first and replaces `PGHOST`.
const PARAMETERS: [(&str, &str); 11] = [
    ("PGHOSTADDR", "host"),
    ("PGHOST", "host"),
    ("PGPORT", "port"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGDATABASE", "dbname"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGOPTIONS", "options"),
];

/// The URL the `PG*` variables stand for, if they name a host or a database.
pub(super) fn url(layers: &Layers<'_>) -> Option<Found> {
    let given = |name: &str| layers.variable(name);
    given("PGHOST")
        .or_else(|| given("PGHOSTADDR"))
        .or_else(|| given("PGDATABASE"))?;
    let mut url = Url::parse("postgres:///").expect("a constant URL");
    let mut names = Vec::new();
    let mut open_file = None;
    for (name, parameter) in PARAMETERS {
        let again = url.query_pairs().any(|(key, _)| key == parameter);
        if let Some(found) = given(name).filter(|_| !again) {
            url.query_pairs_mut().append_pair(parameter, &found.text);
            names.push(name.to_owned());
            if name == "PGPASSWORD" {
                open_file = found.open_file;
            }
        }
    }
    Some(Found {
        text: url.into(),
        origin: Origin::Variables(names),
        open_file,
    })
}
