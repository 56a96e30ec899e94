//! What is allowed to whom, as tables: what each role may do in SQL, what each verb ends with under each role, and what the
//! desk answers to each person, under each role of its own. Whatever is new and stands in no table fails.

mod desk;
mod forged;
mod looks;
mod program;
mod sql;

use sqlx::{ConnectOptions, PgPool};

/// The roles of migrations/roles.sql.
const ROLES: [&str; 5] = ["crm", "support", "desk", "daemon", "admin"];

/// The test's database through a login in this role's shoes.
fn url_of(pool: &PgPool, role: &str) -> String {
    let url = pool.connect_options().to_url_lossy().to_string();
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}options=-c%20role%3Doutboxd_{role}")
}
