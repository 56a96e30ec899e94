//! Every documented errcode, through the wire: simulator, HTTP, client, policy, tables.
//!
//! The expectations are WeChat's documentation put into our words, not a copy of the catalogue: what a code means
//! depends on where it was read, and each line says where, which, and what the tables must say afterwards.
//! Each line has an app and a simulated WeChat of its own, so that no breaker and no token is shared.

use std::fmt;

use sqlx::PgPool;
use wechat_sim::{ErrorForm, Settings, TokenAnswer, UndefinedForm, WechatSim};

use crate::fleet::Fleet;

/// Apps at work at once: each has two connections.
const AT_ONCE: usize = 20;

/// Rows of an app. One that speaks against the app may be an odd one; the second in a row shuts the gate, and the
/// third tells that it is shut: it is never called.
const ROWS: i32 = 3;

/// Where an answer is read.
#[derive(Clone, Debug)]
enum Place {
    /// The token endpoint's errcode.
    Token(i32),
    /// The token endpoint's bytes.
    TokenWire(&'static str),
    /// The outer errcode of `invokecloudfunction`.
    Outer(i32),
    /// Outer errcode 0, the runtime's error object with this `statusCode`.
    Runtime(i32),
    /// The function refused before its send step.
    BeforeSend(i32),
    /// The function tells what the send step answered.
    Send(i32),
    /// The function returned the error it caught, and no word of its own.
    Caught(i32),
    /// The function says it without a code, or the gateway or the wire goes wrong: a recipient's name.
    Row(&'static str),
    /// The function throws; what that looks like from outside.
    Threw(ErrorForm),
    /// The function knows nothing of us and returns `undefined`.
    Stock(UndefinedForm),
}

use Place::{BeforeSend, Caught, Outer, Row, Runtime, Send, Stock, Threw, Token, TokenWire};

impl Place {
    /// The recipient whose name scripts it.
    fn recipient(&self) -> String {
        let signed = |code: &i32| match code {
            0.. => code.to_string(),
            _ => format!("n{}", code.unsigned_abs()),
        };
        match self {
            Outer(code) => format!("outer-{}", signed(code)),
            Runtime(status) => format!("scf-{status}"),
            BeforeSend(code) => format!("lookup-fail-{}", signed(code)),
            Send(code) => format!("fail-{}", signed(code)),
            Caught(code) => format!("returned-err-{}", signed(code)),
            Row(name) => (*name).to_owned(),
            Token(_) | TokenWire(_) | Threw(_) | Stock(_) => "li".to_owned(),
        }
    }

    fn script(&self, sim: &WechatSim) {
        sim.switches().set(|switches| match self {
            Token(code) => switches.token_refusal = Some(*code),
            // More than there are rows: a free retry on a busy machine must not find it mended.
            TokenWire(name) => switches
                .next_token_answers
                .extend((0..20 * ROWS).map(|_| TokenAnswer::Fault((*name).to_owned()))),
            Threw(form) => {
                switches.code_error = true;
                switches.error_form = *form;
            }
            Stock(form) => switches.stock_function = Some(*form),
            Outer(_) | Runtime(_) | BeforeSend(_) | Send(_) | Caught(_) | Row(_) => {}
        });
    }

    /// The number that support must find beside the sentence.
    fn errcode(&self) -> Option<i32> {
        match self {
            // The receiver does not pass on a bare -1.
            Send(-1) => Some(-501_001),
            // What is told is that a second token was refused, too; by the token endpoint's own doing.
            Outer(40001 | 40014 | 42001) => None,
            Token(code) | Outer(code) | BeforeSend(code) | Send(code) | Caught(code) => Some(*code),
            Runtime(status) => Some(*status),
            TokenWire(_) | Row(_) | Threw(_) | Stock(_) => None,
        }
    }
}

/// What the tables say of an app whose rows all went the same way.
#[derive(Debug, sqlx::FromRow)]
struct Observed {
    breaker: String,
    breaker_reason: Option<String>,
    until_tomorrow: bool,
    seconds: i64,
    attempted: i64,
    settled: Vec<String>,
    outcomes: Vec<String>,
    sentences: Vec<String>,
    errcodes: Vec<i32>,
    in_doubt: i64,
    charged: i64,
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doubt = if self.in_doubt > 0 { " in doubt" } else { "" };
        if self.breaker != "closed" {
            let time = match self.seconds {
                _ if self.until_tomorrow => "until 00:05".to_owned(),
                59..=61 => "1 min".to_owned(),
                299..=301 => "5 min".to_owned(),
                3599..=3601 => "1 h".to_owned(),
                86_399..=86_401 => "24 h".to_owned(),
                seconds => format!("{seconds} s"),
            };
            write!(f, "paused {time}{doubt}")?;
        } else if let [settled] = &self.settled[..] {
            write!(f, "{settled}{doubt}")?;
        } else {
            write!(f, "{}{doubt}", self.outcomes.join("/"))?;
        }
        match self.charged {
            0 if self.settled.is_empty() => f.write_str(", free")?,
            _ => {}
        }
        let why = self.breaker_reason.iter().chain(&self.sentences);
        let mut named: Vec<&str> = Vec::new();
        for key in why.map(String::as_str).filter(|key| *key != "accepted") {
            if !named.contains(&key) {
                named.push(key);
            }
        }
        if !named.is_empty() {
            write!(f, ": {}", named.join(", "))?;
        }
        Ok(())
    }
}

/// Runs each place against an app of its own and compares what became of its rows.
async fn check(pool: &PgPool, cases: &[(Place, &str)]) {
    let mut wrong = String::new();
    for (number, cases) in cases.chunks(AT_ONCE).enumerate() {
        let mut fleet = Fleet::new(pool).await;
        for name in ["APPID", "APPSECRET", "CLOUD_ENV"] {
            fleet.unset(&format!("MINIPROGRAM_{name}"));
        }
        fleet.unset("OUTBOXD_WECHAT_BASE_URL");
        fleet.set("OUTBOXD_LEASE", "60s");
        let mut sims = Vec::new();
        let mut file = String::new();
        let mut apps = Vec::new();
        for (index, (place, _)) in cases.iter().enumerate() {
            let sim = WechatSim::start(Settings::default()).await.unwrap();
            place.script(&sim);
            let app = format!("app{number}-{index}");
            file += &app_of(&app, &sim, place);
            sqlx::query("select outboxd.enqueue_notification('e', $1, 'c' || n, app => $2) from generate_series(1, $3) n")
                .bind(place.recipient())
                .bind(&app)
                .bind(ROWS)
                .execute(pool)
                .await
                .unwrap();
            sims.push(sim);
            apps.push(app);
        }
        fleet.set_file(file);
        let daemon = fleet.start();
        called(pool, &apps).await;
        daemon.stop().await;
        let observed = observe(pool, &apps).await;
        for ((place, expected), observed) in cases.iter().zip(observed) {
            let said = observed.to_string();
            if said != *expected {
                wrong += &format!(
                    "\n{place:?}\n  expected {expected}\n  but      {said}\n  {observed:?}"
                );
            }
            if let Some(code) = place.errcode()
                && observed.errcodes != [code]
            {
                wrong += &format!("\n{place:?}: the tables name {:?}", observed.errcodes);
            }
            if observed.breaker != "closed" && observed.attempted == i64::from(ROWS) {
                wrong += &format!("\n{place:?}: the gate was shut too late");
            }
        }
        for sim in sims {
            assert_eq!(sim.ledger().twice(), Vec::<&str>::new());
            assert_eq!(
                sim.ledger().redirects_followed(),
                0,
                "a redirect was followed"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Retries wait an hour, so that a row's first attempt is its last one here.
fn app_of(app: &str, sim: &WechatSim, place: &Place) -> String {
    let settings = sim.settings();
    let is_silent = matches!(place, Row("hang" | "dribble") | TokenWire("hang"));
    format!(
        "[apps.{app}]\nappid = {:?}\nappsecret = {:?}\ncloud_env = {:?}\nbase_url = {:?}\nslots = 1\n\
         retry_schedule = \"1h 1h\"\ncall_timeout = {:?}\n",
        settings.appid,
        settings.secret,
        settings.env,
        sim.base_url(),
        // Long enough that a busy machine is not taken for a silent WeChat.
        if is_silent { "1500ms" } else { "20s" },
    )
}

/// Waits until every row of each app was called, or its gate is shut. An app that is through is paused at once, so that no
/// free retry changes what is to be seen, however long the others take.
async fn called(pool: &PgPool, apps: &[String]) {
    let give_up = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let through: i64 = sqlx::query_scalar(
            "with through as (
                 select app from unnest($1::text[]) app
                  where exists (select from outboxd.app_state s where s.app = app.app and s.breaker <> 'closed')
                     or (select count(distinct notification_id) from outboxd.notification_attempt a where a.app = app.app) = $2),
             paused as (
                 insert into outboxd.app_state (app, paused_at, paused_by) select app, now(), 'test' from through
                     on conflict (app) do update set paused_at = now(), paused_by = 'test'
                  where outboxd.app_state.paused_at is null)
             select count(*) from through",
        )
        .bind(apps)
        .bind(ROWS)
        .fetch_one(pool)
        .await
        .unwrap();
        if through == apps.len() as i64 {
            return;
        }
        assert!(
            tokio::time::Instant::now() < give_up,
            "{through} of {} apps are through their rows",
            apps.len()
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn observe(pool: &PgPool, apps: &[String]) -> Vec<Observed> {
    sqlx::query_as(
        "select coalesce(s.breaker, 'closed') as breaker, s.breaker_reason,
                coalesce(s.breaker_until at time zone 'Asia/Shanghai'
                         = (now() at time zone 'Asia/Shanghai')::date + interval '1 day 5 minutes', false) as until_tomorrow,
                coalesce(round(extract(epoch from s.breaker_until - s.breaker_since)), 0)::bigint as seconds,
                a.attempted, a.outcomes, a.sentences, a.errcodes, d.settled,
                coalesce(d.in_doubt, 0) + o.in_doubt as in_doubt, o.charged
           from unnest($1::text[]) with ordinality as app (app, position)
           left join outboxd.app_state s using (app)
           cross join lateral (
                select count(distinct notification_id) as attempted,
                       coalesce(array_agg(distinct outcome), '{}') as outcomes,
                       coalesce(array_agg(distinct sentence), '{}') as sentences,
                       coalesce(array_agg(distinct errcode) filter (where errcode is not null), '{}') as errcodes
                  from outboxd.notification_attempt x
                 -- A second attempt that the end of the daemon cut short is no answer.
                 where x.app = app.app and x.outcome <> 'released') a
           cross join lateral (
                select coalesce(array_agg(distinct status), '{}') as settled,
                       count(*) filter (where may_have_arrived) as in_doubt
                  from outboxd.notification_delivery x where x.app = app.app) d
           cross join lateral (
                select count(*) filter (where may_have_arrived) as in_doubt,
                       coalesce(max(attempts - spared) filter (where attempts > 0), 0)::bigint as charged
                  from outboxd.notification_outbox x where x.app = app.app) o
          order by position",
    )
    .bind(apps)
    .fetch_all(pool)
    .await
    .unwrap()
}

/// Nothing was sent, whatever it says. What a person must mend pauses the app, and no row pays for it.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_code_of_the_token_endpoint(pool: PgPool) {
    check(
        &pool,
        &[
            (Token(-1), "failed, free: token_busy"),
            (Token(40001), "paused 5 min, free: secret_wrong"),
            (Token(40125), "paused 5 min, free: secret_wrong"),
            (Token(40002), "paused 5 min, free: token_request_wrong"),
            (Token(41002), "paused 5 min, free: token_request_wrong"),
            (Token(41004), "paused 5 min, free: token_request_wrong"),
            (Token(43002), "paused 5 min, free: token_request_wrong"),
            (Token(40013), "paused 5 min, free: appid_wrong"),
            (Token(40164), "paused 5 min, free: ip_not_allowed"),
            (Token(40243), "paused 5 min, free: secret_frozen"),
            (Token(50004), "paused 5 min, free: token_forbidden"),
            (Token(50007), "paused 5 min, free: account_frozen"),
            (Token(61024), "paused 5 min, free: managed_by_third_party"),
            (Token(89501), "paused 5 min, free: admin_must_confirm"),
            (Token(89503), "paused 5 min, free: admin_must_confirm"),
            (Token(89507), "paused 1 h, free: ip_banned_hour"),
            (Token(89506), "paused 24 h, free: ip_banned_day"),
            (Token(45009), "paused until 00:05, free: token_quota"),
            (Token(45011), "paused 1 min, free: minute_limit"),
            // No code of this place can be about a row, so an unknown one does not give rows up.
            (Token(98765), "paused 5 min, free: token_unknown_code"),
            (TokenWire("http-412"), "paused 5 min, free: http_4xx"),
            (TokenWire("http-404"), "paused 5 min, free: http_4xx"),
            (TokenWire("http-302"), "paused 5 min, free: redirected"),
            (TokenWire("http-429"), "failed, free: http_429"),
            (TokenWire("http-500"), "failed, free: token_unreachable"),
            (TokenWire("http-503"), "failed, free: token_unreachable"),
            (TokenWire("hang"), "failed, free: token_unreachable"),
            (
                TokenWire("reset-after-body"),
                "failed, free: token_unreachable",
            ),
            (TokenWire("lost-reply"), "failed, free: token_unreachable"),
            (TokenWire("cut-body"), "failed, free: token_unreachable"),
            (TokenWire("html"), "failed, free: token_unreadable"),
            (TokenWire("empty"), "failed, free: token_unreadable"),
            (TokenWire("garbage"), "failed, free: token_unreadable"),
            (TokenWire("half-json"), "failed, free: token_unreadable"),
            (TokenWire("huge"), "failed, free: token_unreadable"),
        ],
    )
    .await;
}

/// The outer errcode: config pauses, quota waits for tomorrow, trouble in the cloud is ambiguous.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_outer_code(pool: PgPool) {
    check(
        &pool,
        &[
            // Refreshed, retried once, refused again.
            (Outer(40001), "paused 5 min, free: token_still_refused"),
            (Outer(40014), "paused 5 min, free: token_still_refused"),
            (Outer(42001), "paused 5 min, free: token_still_refused"),
            (Outer(41001), "paused 5 min, free: request_wrong"),
            (Outer(40101), "paused 5 min, free: request_wrong"),
            (Outer(43002), "paused 5 min, free: request_wrong"),
            (Outer(43003), "paused 5 min, free: request_wrong"),
            (Outer(44002), "paused 5 min, free: request_wrong"),
            (Outer(85088), "paused 5 min, free: cloud_not_opened"),
            (Outer(48001), "paused 5 min, free: api_not_authorised"),
            (Outer(48004), "paused 5 min, free: api_not_authorised"),
            (Outer(-501_000), "paused 5 min, free: environment_wrong"),
            (Outer(-501_005), "paused 5 min, free: environment_wrong"),
            (Outer(-501_006), "paused 5 min, free: environment_wrong"),
            (Outer(-601_012), "paused 5 min, free: environment_wrong"),
            (Outer(-501_007), "paused 5 min, free: function_not_found"),
            (Outer(-501_008), "paused 5 min, free: function_not_found"),
            (Outer(-501_009), "paused 5 min, free: function_not_found"),
            (Outer(-501_018), "paused 5 min, free: cloud_no_permission"),
            (Outer(-501_019), "paused 5 min, free: cloud_no_permission"),
            (Outer(-601_004), "paused 5 min, free: cloud_no_permission"),
            (Outer(-601_018), "paused 5 min, free: cloud_no_permission"),
            (Outer(45009), "paused until 00:05, free: cloud_quota"),
            (Outer(-501_003), "paused until 00:05, free: cloud_quota"),
            (Outer(-501_015), "paused until 00:05, free: cloud_quota"),
            (Outer(-501_016), "paused until 00:05, free: cloud_quota"),
            (Outer(-501_017), "paused until 00:05, free: cloud_quota"),
            // The function did not start.
            (Outer(-501_004), "failed, free: cloud_busy"),
            (Runtime(429), "failed, free: cloud_busy"),
            (Runtime(432), "failed, free: cloud_busy"),
            (Outer(-1), "unknown in doubt: cloud_system_error"),
            (Outer(-1000), "unknown in doubt: cloud_system_error"),
            (Outer(-501_001), "unknown in doubt: cloud_system_error"),
            (Outer(-501_002), "unknown in doubt: cloud_system_error"),
            (Outer(-504_001), "unknown in doubt: cloud_system_error"),
            (Outer(-601_001), "unknown in doubt: cloud_system_error"),
            (Outer(-601_003), "unknown in doubt: cloud_system_error"),
            (Outer(-601_008), "unknown in doubt: cloud_system_error"),
            (Outer(-504_002), "unknown in doubt: function_failed"),
            (Runtime(430), "unknown in doubt: function_failed"),
            (Outer(-504_003), "unknown in doubt: function_timed_out"),
            (Runtime(433), "unknown in doubt: function_timed_out"),
            (Outer(-604_001), "unknown in doubt: result_too_large"),
            (Runtime(407), "unknown in doubt: result_too_large"),
            (Runtime(406), "dead: request_too_large"),
            (Outer(98765), "unknown in doubt: unknown_code"),
            (Outer(-98765), "unknown in doubt: unknown_code"),
            (Runtime(499), "unknown in doubt: unknown_code"),
            (Threw(ErrorForm::Outer), "unknown in doubt: function_failed"),
            (
                Threw(ErrorForm::OuterWithData),
                "unknown in doubt: function_failed",
            ),
            (Threw(ErrorForm::Inner), "unknown in doubt: function_failed"),
        ],
    )
    .await;
}

/// The function's own codes: before the send step nothing was sent; at it, a positive code is WeChat's refusal and
/// a negative one leaves the row in doubt for good, since the function itself cannot tell.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_code_of_the_function(pool: PgPool) {
    check(
        &pool,
        &[
            (Row("plain"), "delivered"),
            (Send(43101), "dead: not_subscribed"),
            (Send(40003), "dead: openid_wrong"),
            (Send(43104), "dead: openid_wrong"),
            (Row("no-openid"), "dead: no_openid"),
            (Send(47003), "dead: content_refused"),
            (Send(47001), "dead: content_refused"),
            (Send(45168), "dead: sensitive_word"),
            (Send(40037), "paused 5 min, free: template_wrong"),
            (Send(41030), "paused 5 min, free: page_wrong"),
            (Send(43107), "paused 5 min, free: template_banned"),
            (Send(48001), "paused 5 min, free: api_not_authorised"),
            (Send(48004), "paused 5 min, free: api_not_authorised"),
            (
                Send(-604_100),
                "paused 5 min, free: function_calls_wrong_api",
            ),
            (
                Send(-604_104),
                "paused 5 min, free: function_calls_wrong_api",
            ),
            (
                Send(-604_101),
                "paused 5 min, free: function_no_openapi_permission",
            ),
            (Send(45009), "paused until 00:05, free: message_quota"),
            (Send(43108), "failed, free: same_person_busy"),
            // Should not occur in a cloud call: tried once more, then paused.
            (Send(40001), "paused 1 min, free: inner_token_refused"),
            (Send(42001), "paused 1 min, free: inner_token_refused"),
            (Send(-1), "dead in doubt: receiver_unknown"),
            (Send(-501_001), "dead in doubt: receiver_unknown"),
            (Send(-501_002), "dead in doubt: receiver_unknown"),
            (Send(-604_102), "dead in doubt: receiver_unknown"),
            (Send(-604_103), "dead in doubt: receiver_unknown"),
            (Send(98765), "failed: unknown_refusal"),
            (Send(-98765), "dead in doubt: receiver_unknown"),
            (BeforeSend(-501_001), "failed: function_database_busy"),
            (BeforeSend(-501_002), "failed: function_database_busy"),
            (BeforeSend(-502_001), "failed: function_database_busy"),
            (BeforeSend(-502_010), "failed: function_database_busy"),
            (BeforeSend(-502_011), "failed: function_database_busy"),
            (BeforeSend(-502_012), "failed: function_database_busy"),
            (BeforeSend(-502_013), "failed: function_database_busy"),
            (BeforeSend(-502_014), "failed: function_database_busy"),
            (BeforeSend(-502_015), "failed: function_database_busy"),
            (BeforeSend(-604_103), "failed: function_database_busy"),
            (
                BeforeSend(-502_003),
                "paused 5 min, free: function_setup_wrong",
            ),
            (
                BeforeSend(-502_005),
                "paused 5 min, free: function_setup_wrong",
            ),
            (
                BeforeSend(-604_100),
                "paused 5 min, free: function_calls_wrong_api",
            ),
            (
                BeforeSend(-604_101),
                "paused 5 min, free: function_no_openapi_permission",
            ),
            (BeforeSend(45009), "paused until 00:05, free: cloud_quota"),
            (
                BeforeSend(-501_015),
                "paused until 00:05, free: cloud_quota",
            ),
            (
                BeforeSend(-501_016),
                "paused until 00:05, free: cloud_quota",
            ),
            (BeforeSend(1001), "dead: event_refused"),
            (BeforeSend(1002), "paused 5 min, free: function_too_old"),
            (BeforeSend(1003), "paused 5 min, free: signature_refused"),
            (BeforeSend(1004), "dead: no_openid"),
            (BeforeSend(1005), "paused 5 min, free: caller_refused"),
            (BeforeSend(1006), "dead: no_template"),
            (BeforeSend(98765), "failed: unknown_refusal"),
            (BeforeSend(-98765), "failed: unknown_refusal"),
            // `catch (err) { return err }`: no step is told, so it counts as the send step.
            (Caught(43101), "dead: not_subscribed"),
            (Caught(47003), "dead: content_refused"),
            (Caught(-502_003), "paused 5 min, free: function_setup_wrong"),
            (Caught(-502_005), "paused 5 min, free: function_setup_wrong"),
            (Caught(-501_015), "paused until 00:05, free: cloud_quota"),
            (Caught(-1), "unknown in doubt: send_ambiguous"),
            (Caught(-501_001), "unknown in doubt: send_ambiguous"),
            (Caught(-604_102), "unknown in doubt: send_ambiguous"),
            (Caught(-604_103), "unknown in doubt: send_ambiguous"),
            (Caught(-98765), "unknown in doubt: unknown_code"),
            (Row("in-progress"), "failed, free: in_progress"),
            (Row("stale"), "failed: stale_epoch"),
            (Row("sealed"), "dead: sealed"),
            // It never sends again what it cannot tell; what it then seals has certainly not arrived.
            (Row("unknown"), "dead: receiver_unknown"),
            (Row("always-unknown"), "dead in doubt: receiver_unknown"),
        ],
    )
    .await;
}

/// What is no answer of WeChat's: from the status line to the last byte of the envelope.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_way_to_get_no_answer(pool: PgPool) {
    check(
        &pool,
        &[
            (Row("http-412"), "paused 5 min, free: http_4xx"),
            (Row("http-400"), "paused 5 min, free: http_4xx"),
            (Row("http-403"), "paused 5 min, free: http_4xx"),
            (Row("http-404"), "paused 5 min, free: http_4xx"),
            (Row("http-418"), "paused 5 min, free: http_4xx"),
            // Of all 4xx the one that says when it passes.
            (Row("http-429"), "failed, free: http_429"),
            (Row("http-500"), "unknown in doubt: http_5xx"),
            (Row("http-502"), "unknown in doubt: http_5xx"),
            (Row("http-503"), "unknown in doubt: http_5xx"),
            (Row("http-504"), "unknown in doubt: http_5xx"),
            (Row("http-301"), "paused 5 min, free: redirected"),
            (Row("http-302"), "paused 5 min, free: redirected"),
            (Row("http-307"), "paused 5 min, free: redirected"),
            (Row("http-308"), "paused 5 min, free: redirected"),
            (Row("html"), "unknown in doubt: unreadable_answer"),
            (Row("empty"), "unknown in doubt: unreadable_answer"),
            (Row("garbage"), "unknown in doubt: unreadable_answer"),
            (Row("half-json"), "unknown in doubt: unreadable_answer"),
            (Row("huge"), "unknown in doubt: unreadable_answer"),
            (Row("hang"), "unknown in doubt: timed_out"),
            (Row("dribble"), "unknown in doubt: timed_out"),
            (Row("reset-unsent"), "unknown in doubt: connection_lost"),
            (Row("reset-after-body"), "unknown in doubt: connection_lost"),
            (Row("lost-reply"), "unknown in doubt: connection_lost"),
            (Row("cut-body"), "unknown in doubt: connection_lost"),
            (Row("wrong-key"), "unknown in doubt: wrong_key_echoed"),
            (Row("no-key"), "unknown in doubt: wrong_key_echoed"),
            (Row("object-resp"), "delivered"),
            (Row("string-resp"), "delivered"),
            (Row("triple-resp"), "delivered"),
            (Row("text-codes"), "delivered"),
            (Row("errcode-camel"), "delivered"),
            (
                Stock(UndefinedForm::Missing),
                "unknown in doubt: function_undefined",
            ),
            (
                Stock(UndefinedForm::Empty),
                "unknown in doubt: function_undefined",
            ),
            (
                Stock(UndefinedForm::TextNull),
                "unknown in doubt: function_undefined",
            ),
            (
                Stock(UndefinedForm::Null),
                "unknown in doubt: function_undefined",
            ),
        ],
    )
    .await;
}

/// Refused, or no handshake: nothing was written, so nothing was sent, and it costs the row nothing.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_was_never_written_is_free(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet.set("OUTBOXD_SLOTS", "1");
    let settled = |customer: &'static str| {
        let pool = pool.clone();
        async move { attempt_of(&pool, customer).await }
    };
    // The first row fetches the token; then the host is gone.
    crate::harness::enqueue(&pool, "li", "first").await;
    let daemon = fleet.start();
    settled("first").await;
    fleet.sim.stop().await;
    crate::harness::enqueue(&pool, "li", "refused").await;
    let expected = ("connect".into(), "not_reached_dns_connect_tls".into(), 0);
    assert_eq!(settled("refused").await, expected);
    daemon.stop().await;
    fleet.sim.restart().await;
    // No TLS is spoken there.
    let base = fleet.sim.base_url().replace("http:", "https:");
    fleet.set("OUTBOXD_WECHAT_BASE_URL", &base);
    crate::harness::enqueue(&pool, "li", "handshake").await;
    let daemon = fleet.start();
    let expected = ("token".into(), "token_unreachable".into(), 0);
    assert_eq!(settled("handshake").await, expected);
    daemon.stop().await;
    fleet.assert_invariants().await;
}

/// Phase, sentence and cost of a customer's first attempt.
async fn attempt_of(pool: &PgPool, customer: &str) -> (String, String, i32) {
    loop {
        let row = sqlx::query_as(
            "select a.phase, a.sentence, coalesce(o.attempts - o.spared, -1)
               from outboxd.notification_delivery_status s
               join outboxd.notification_attempt a on a.notification_id = s.id and a.attempt = 1
               left join outboxd.notification_outbox o on o.id = s.id
              where s.aggregate_id = $1 and (o.id is null or o.lease_token is null)",
        )
        .bind(customer)
        .fetch_optional(pool)
        .await
        .unwrap();
        if let Some(row) = row {
            return row;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// A broken deployment shows across notifications: no single one pauses the app, many in a row do.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn many_functions_failing_in_a_row_pause_the_app(pool: PgPool) {
    for (fault, reason) in [
        ("outer-n504002", "function_failed"),
        ("scf-430", "function_failed"),
        ("outer-n504003", "function_timed_out"),
        ("scf-433", "function_timed_out"),
        ("outer-n604001", "result_too_large"),
    ] {
        let mut fleet = Fleet::new(&pool).await;
        fleet
            .set("OUTBOXD_SLOTS", "1")
            .set("OUTBOXD_RETRY_SCHEDULE", "1h");
        for n in 0..9 {
            crate::harness::enqueue(&pool, fault, &format!("{fault}-{n}")).await;
        }
        let daemon = fleet.start();
        let open = loop {
            let open: Option<String> = sqlx::query_scalar(
                "select breaker_reason from outboxd.app_state where breaker <> 'closed'",
            )
            .fetch_optional(&pool)
            .await
            .unwrap();
            if let Some(reason) = open {
                break reason;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        };
        daemon.stop().await;
        assert_eq!(open, reason, "{fault}");
        assert_eq!(fleet.sim.ledger().calls().len(), 5, "{fault}");
        crate::harness::run(
            &pool,
            "delete from outboxd.app_state; delete from outboxd.notification_outbox",
        )
        .await;
    }
}

/// One call at a time to a person: refused for certain, so the row comes back within seconds and pays nothing.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_person_who_is_busy_is_tried_again_within_seconds(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    crate::harness::enqueue(&pool, "fail-43108", "c").await;
    let daemon = fleet.start();
    attempt_of(&pool, "c").await;
    daemon.stop().await;
    let wait: f64 = sqlx::query_scalar(
        "select extract(epoch from o.next_attempt_at - a.ended_at)::float8
           from outboxd.notification_outbox o join outboxd.notification_attempt a on a.notification_id = o.id",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!((1.0..6.0).contains(&wait), "{wait} s");
}
