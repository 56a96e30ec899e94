//! Random rows and random texts: the search finds what reading every row finds. The seed is printed when it does not.

use outboxd::outbox::slices::LARGE;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::PgPool;

use super::{find, index_all};
use crate::harness::{number, run};

struct Person {
    id: i64,
    key: uuid::Uuid,
    customer: String,
    recipient: String,
    name: String,
    phone: String,
    waits: bool,
}

fn pick(dice: &mut StdRng, of: &str, long: usize) -> String {
    let all: Vec<char> = of.chars().collect();
    (0..long)
        .map(|_| all[dice.random_range(0..all.len())])
        .collect()
}

impl Person {
    /// Few characters and few digits, so that much is alike.
    fn random(dice: &mut StdRng, id: i64) -> Person {
        let long = dice.random_range(2..5);
        let mut name = pick(dice, "李王欧阳晨Aa\"\\\t%_", long);
        // Some CRM tell people of one name apart by digits.
        if dice.random_range(0..4) == 0 {
            let long = dice.random_range(4..7);
            name.push_str(&pick(dice, "017", long));
        }
        // From seven digits on; now and then as people write them.
        let long = dice.random_range(7..12);
        let mut phone = pick(dice, "0017", long);
        if dice.random_range(0..4) == 0 {
            phone.insert(3, '-');
        }
        let tail = pick(dice, "017", 4);
        Person {
            id,
            key: uuid::Uuid::from_u128(dice.random()),
            customer: format!("{}{tail}", dice.random_range(0..20)),
            recipient: format!("r{}", dice.random_range(0..30)),
            name,
            phone,
            waits: dice.random_range(0..10) == 0,
        }
    }

    fn bears(&self, text: &str) -> bool {
        text.parse() == Ok(self.id)
            || text.parse() == Ok(self.key)
            || self.customer == text
            || self.recipient == text
    }

    fn is_called(&self, text: &str) -> bool {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if digits.len() < 4 || text.chars().any(|c| !c.is_ascii_digit() && c != '-') {
            return self.name.to_lowercase().contains(&text.to_lowercase());
        }
        [&self.phone, &self.name].into_iter().any(|value| {
            let value: String = value.chars().filter(char::is_ascii_digit).collect();
            value.ends_with(&digits)
        })
    }

    /// What somebody may type who means this one.
    fn text(&self, dice: &mut StdRng) -> String {
        let tail = |long: usize| {
            let digits: String = self.phone.chars().filter(char::is_ascii_digit).collect();
            digits[digits.len().saturating_sub(long)..].to_owned()
        };
        match dice.random_range(0..15) {
            // In the midst of a telephone number these mean nothing.
            10 if self.name.ends_with(|c: char| c.is_ascii_digit()) => {
                let long = dice.random_range(1..4);
                let digits = self.name.chars().filter(char::is_ascii_digit);
                digits.take(long).collect()
            }
            8 | 9 if self.name.ends_with(|c: char| c.is_ascii_digit()) => {
                self.name.chars().filter(char::is_ascii_digit).collect()
            }
            0 => self.id.to_string(),
            1 => self.key.to_string(),
            2 => self.customer.clone(),
            3 => self.recipient.clone(),
            4 => self.name.chars().take(2).collect(),
            5 => self.name.chars().skip(1).collect(),
            6 => self.name.to_uppercase(),
            7 => self.phone.clone(),
            _ => tail(dice.random_range(4..10)),
        }
    }
}

async fn write(pool: &PgPool, people: &[Person]) {
    for (table, more, values) in [
        ("outbox", "", ""),
        ("delivery", ", app, aggregate_type, priority, attempts, lease_epoch, format_version, created_at, created_by, status, reason,
            may_have_arrived, settled_at, settled_by", ", 'default', 'customer', 2, 1, 1, 1, now(), 'crm', 'delivered', 'accepted', false, now(), 'd'"),
    ] {
        let these: Vec<&Person> = people.iter().filter(|it| it.waits == (table == "outbox")).collect();
        let sql = format!(
            "insert into outboxd.notification_{table} (id, key, event_type, aggregate_id, recipient, payload{more})
             select id, key, 'e', customer, recipient, jsonb_build_object('customerName', name, 'phone', phone){values}
               from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[])
                 as t (id, key, customer, recipient, name, phone)"
        );
        let of = |what: fn(&Person) -> &String| these.iter().map(|it| what(it).clone()).collect::<Vec<_>>();
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(these.iter().map(|it| it.id).collect::<Vec<_>>())
            .bind(these.iter().map(|it| it.key).collect::<Vec<_>>())
            .bind(of(|it| &it.customer))
            .bind(of(|it| &it.recipient))
            .bind(of(|it| &it.name))
            .bind(of(|it| &it.phone))
            .execute(pool)
            .await
            .unwrap();
    }
    let last = people.last().map_or(1, |it| it.id);
    sqlx::query("select setval(pg_get_serial_sequence('outboxd.notification_outbox', 'id'), $1)")
        .bind(last)
        .execute(pool)
        .await
        .unwrap();
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn random_texts_find_what_reading_everything_finds(pool: PgPool) {
    let mut search = Search::of(&pool, 20).await;
    index_all(&pool).await;
    search.write_the_newest().await;
    search.compare(400).await;
}

/// Over so many ids that slices are gathered into runs, also when they are written once more in there.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn random_texts_are_found_in_runs_as_well(pool: PgPool) {
    let mut search = Search::of(&pool, 400).await;
    let covered = index_all(&pool).await;
    let runs = covered.iter().filter(|ids| **ids > LARGE).count();
    assert!(runs >= 2, "seed {}, {covered:?}", search.seed);
    search.write_the_newest().await;
    search.compare(200).await;

    run(
        &pool,
        "truncate outboxd.search_term; update outboxd.search_slice set paths = '{}'",
    )
    .await;
    let gathered = "select count(*) from (select from outboxd.search_slice group by run having count(*) = 8) r";
    let before = number(&pool, gathered).await;
    let covered = index_all(&pool).await;
    // The newest may have made one more complete; those that were gathered stay so.
    let more = covered.iter().filter(|ids| **ids > LARGE).count();
    assert!(more <= 1, "seed {}, {covered:?}", search.seed);
    assert_eq!(
        number(&pool, gathered).await - before,
        i64::try_from(more).unwrap(),
        "seed {}",
        search.seed
    );
    search.compare(200).await;
}

struct Search<'a> {
    pool: &'a PgPool,
    seed: u64,
    dice: StdRng,
    people: Vec<Person>,
    newest: Vec<Person>,
}

impl<'a> Search<'a> {
    /// People whose ids are so far apart at most; the newest are not written yet.
    async fn of(pool: &'a PgPool, apart: i64) -> Search<'a> {
        let seed: u64 = rand::random();
        let mut dice = StdRng::seed_from_u64(seed);
        // From four digits on, an id may be the end of a telephone number, too.
        let mut id = 1_000;
        let mut people: Vec<Person> = (0..4_000)
            .map(|_| {
                id += dice.random_range(1..apart);
                Person::random(&mut dice, id)
            })
            .collect();
        let newest = people.split_off(3_800);
        write(pool, &people).await;
        Search {
            pool,
            seed,
            dice,
            people,
            newest,
        }
    }

    async fn write_the_newest(&mut self) {
        write(self.pool, &self.newest).await;
        self.people.append(&mut self.newest);
    }

    async fn compare(&mut self, texts: usize) {
        const LIMIT: usize = 20;
        for _ in 0..texts {
            let at = self.dice.random_range(0..self.people.len());
            let text = self.people[at].text(&mut self.dice);
            let newest = |is: &dyn Fn(&Person) -> bool| {
                let ids = self.people.iter().rev().filter(|it| is(it)).map(|it| it.id);
                ids.take(LIMIT).collect::<Vec<_>>()
            };
            let mut expected = newest(&|it| it.bears(&text));
            let called = newest(&|it| it.is_called(&text) && !it.bears(&text));
            expected.extend(called.into_iter().take(LIMIT - expected.len()));
            expected.sort_unstable_by(|a, b| b.cmp(a));
            let found = find(self.pool, &text, 20).await;
            let ids: Vec<i64> = found.hits.iter().map(|hit| hit.id).collect();
            assert_eq!(ids, expected, "{text:?}, seed {}", self.seed);
        }
    }
}
