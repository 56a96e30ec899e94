//! The rights of each role on everything in the schema, as PostgreSQL knows them.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgPool;

use super::ROLES;
use crate::harness::create_roles;

/// `s`elect, `i`nsert, `u`pdate, `d`elete, `n`ext number: of every column with a capital letter, else of those in
/// [`COLUMNS`]. Nobody empties a table at once, or points a trigger or a foreign key at one of ours.
const TABLES: &str = "
                                 crm support desk   daemon admin
    _sqlx_migrations             -   S       S      S      S
    app_state                    -   S       Siu    SIU    SIU
    audit_log                    -   S       SI     SI     SI
    bulk_redrive                 -   S       SIu    -      SIu
    bulk_redrive_underway        -   S       SIuD   -      SIuD
    notification_attempt         -   S       SI     SI     SI
    notification_delivery        -   s       SID    SI     SID
    notification_delivery_status -   S       S      S      S
    notification_handled         -   S       SIu    S      SIu
    notification_outbox          -   s       SIuD   SuD    SIUD
    notification_successor       -   S       SI     S      SI
    search_mark                  -   -       S      -      S
    search_slice                 -   -       S      -      S
    search_term                  -   -       S      -      S
    a_partition                  -   -       S      -      S
    a_sequence                   -   -       -      -      N
";

/// Which columns, where it is not all of them.
#[rustfmt::skip]
const COLUMNS: [(&str, &str, &str); 11] = [
    ("app_state", "desk i", "app pause_reason paused_at paused_by"),
    ("app_state", "desk u", "breaker breaker_errcode breaker_reason breaker_since breaker_strikes breaker_until pause_reason paused_at paused_by"),
    ("bulk_redrive", "admin u", WALK),
    ("bulk_redrive", "desk u", WALK),
    ("bulk_redrive_underway", "admin u", "has_failed"),
    ("bulk_redrive_underway", "desk u", "has_failed"),
    ("notification_handled", "admin u", "handled_at handled_by outcome"),
    ("notification_handled", "desk u", "handled_at handled_by outcome"),
    ("notification_outbox", "daemon u", "attempts awaits_grant lapses lease_epoch lease_token lease_until leased_by may_have_arrived next_attempt_at spared"),
    ("notification_outbox", "desk u", "awaits_grant cancel_requested_by expires_at next_attempt_at"),
    // Support reads every column but this one, in both tables.
    ("", "support s", "payload"),
];
const WALK: &str = "changed_at changed_by delivered failed is_walked next_rung_at redriven refused rung rung_delivered rung_failed state stopped_because version walked_at walked_id withdrawn";

/// Who may call it; `owner` stands before those that run with the owner's rights, whoever calls. What is nobody's is
/// called by a trigger, or by another function.
const FUNCTIONS: [(&str, &str); 15] = [
    ("enqueue_notification", "owner crm desk admin"),
    ("enqueue_notifications", "owner crm admin"),
    ("ensure_partitions", "owner daemon admin"),
    ("newest_settled", "daemon"),
    ("refuse_what_cannot_be_carried", ""),
    ("wake_sleeper", "owner"),
    ("write_search", "owner daemon"),
    ("write_search_slice", ""),
    ("gather_search", "owner daemon"),
    // Sums and sentences: for whoever may come into the schema at all.
    ("key_lock", "crm support desk daemon admin"),
    ("refuse", "crm support desk daemon admin"),
    ("refuse_identity_change", "crm support desk daemon admin"),
    // They read with the caller's rights.
    ("search_candidates", "crm support desk daemon admin"),
    ("waiting_of", "crm support desk daemon admin"),
    ("sleep_lock", "crm support desk daemon admin"),
];

/// Each right on each table, or on a column of it: table, kind, column, role, the right's letter.
const RIGHTS: &str = "
    select case when c.relispartition then 'a_partition' when c.relkind = 'S' then 'a_sequence' else c.relname::text end,
           a.attname::text, substr(role, 9), right_letter,
           case when c.relkind = 'S' then has_sequence_privilege(role, c.oid, right_name)
                else has_table_privilege(role, c.oid, right_name) end,
           case when c.relkind <> 'S' and right_name in ('select', 'insert', 'update', 'references')
                then has_column_privilege(role, c.oid, a.attnum, right_name) else false end
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      cross join unnest($1::text[]) role
      cross join (values ('s', 'select'), ('i', 'insert'), ('u', 'update'), ('d', 'delete'), ('t', 'truncate'),
                         ('r', 'references'), ('g', 'trigger'), ('n', 'usage')) rights(right_letter, right_name)
     where c.relnamespace = 'outboxd'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
       and case when c.relkind = 'S' then right_name in ('select', 'update', 'usage') else right_name <> 'usage' end";

type Right = (String, String, String, String, bool, bool);

async fn rights(pool: &PgPool, roles: &[String]) -> Vec<Right> {
    sqlx::query_as(RIGHTS)
        .bind(roles)
        .fetch_all(pool)
        .await
        .unwrap()
}

fn roles() -> Vec<String> {
    ROLES.map(|role| format!("outboxd_{role}")).to_vec()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn each_role_reads_and_writes_what_its_line_says(pool: PgPool) {
    create_roles(&pool).await;
    let mut found: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut columns: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (table, column, role, letter, whole, part) in rights(&pool, &roles()).await {
        let cell = found.entry((table.clone(), role.clone())).or_default();
        if whole {
            cell.insert(letter.to_uppercase());
        } else if part {
            cell.insert(letter.clone());
            let named = columns.entry((table, format!("{role} {letter}")));
            named.or_default().insert(column);
        }
    }
    let mut lines = TABLES.lines().filter(|line| !line.trim().is_empty());
    let heads: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let mut told = BTreeMap::new();
    for line in lines {
        let mut cells = line.split_whitespace();
        let table = cells.next().unwrap();
        for (role, cell) in heads.iter().zip(cells) {
            let letters = cell.chars().filter(|c| *c != '-').map(String::from);
            told.insert((table.to_owned(), (*role).to_owned()), letters.collect());
        }
    }
    same("rights on tables", &told, &found);

    let mut told = BTreeMap::new();
    for (table, right, names) in COLUMNS {
        let names: BTreeSet<String> = names.split(' ').map(str::to_owned).collect();
        if table.is_empty() {
            for table in ["notification_outbox", "notification_delivery"] {
                let all: Vec<String> = sqlx::query_scalar(
                    "select attname::text from pg_attribute where attrelid = ('outboxd.' || $1)::regclass and attnum > 0 and not attisdropped",
                )
                .bind(table)
                .fetch_all(&pool)
                .await
                .unwrap();
                let rest = all.into_iter().filter(|name| !names.contains(name));
                told.insert((table.to_owned(), right.to_owned()), rest.collect());
            }
            continue;
        }
        told.insert((table.to_owned(), right.to_owned()), names);
    }
    same("columns", &told, &columns);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn each_role_calls_what_its_line_says(pool: PgPool) {
    create_roles(&pool).await;
    let rows: Vec<(String, bool, Vec<String>, bool)> = sqlx::query_as(
        "select p.proname::text, p.prosecdef,
                array(select substr(role, 9) from unnest($1::text[]) with ordinality r(role, n)
                       where has_function_privilege(role, p.oid, 'execute') order by n),
                coalesce(p.proconfig @> array['search_path=pg_catalog, pg_temp'], false)
           from pg_proc p where p.pronamespace = 'outboxd'::regnamespace",
    )
    .bind(roles())
    .fetch_all(&pool)
    .await
    .unwrap();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, as_owner, callers, pins_its_path) in rows {
        assert!(
            pins_its_path || !as_owner,
            "{name} runs with its owner's rights and looks for names where its caller says"
        );
        let owner = as_owner.then(|| "owner".to_owned());
        let before = found.insert(name.clone(), owner.into_iter().chain(callers).collect());
        assert_eq!(before, None, "two functions {name}");
    }
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let told = FUNCTIONS.map(|(name, callers)| (name.to_owned(), words(callers)));
    same("functions", &BTreeMap::from(told), &found);
}

/// Whoever logs in and has none of the roles comes as far as the schema's door.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn who_has_no_role_has_no_right(pool: PgPool) {
    create_roles(&pool).await;
    let may: Vec<(String, String)> = rights(&pool, &["public".to_owned()])
        .await
        .into_iter()
        .filter(|(.., whole, part)| *whole || *part)
        .map(|(table, column, ..)| (table, column))
        .collect();
    assert!(may.is_empty(), "{may:?}");
    // Of the schema itself: the door, and no building in it.
    let doors: Vec<(String, bool, bool)> = sqlx::query_as(
        "select role, has_schema_privilege(role, 'outboxd', 'usage'), has_schema_privilege(role, 'outboxd', 'create')
           from unnest($1::text[] || 'public'::text) role",
    )
    .bind(roles())
    .fetch_all(&pool)
    .await
    .unwrap();
    for (role, comes_in, builds) in doors {
        assert_eq!((comes_in, builds), (role != "public", false), "{role}");
    }
}

/// Says what differs, not everything.
#[track_caller]
fn same<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    told: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
) {
    let keys: BTreeSet<&K> = told.keys().chain(found.keys()).collect();
    let differing: String = keys
        .into_iter()
        .filter(|key| told.get(key) != found.get(key))
        .map(|key| {
            let (told, found) = (told.get(key), found.get(key));
            format!("\n{key:?}: the table says {told:?}, the database {found:?}")
        })
        .collect();
    assert!(differing.is_empty(), "{what}:{differing}");
}
