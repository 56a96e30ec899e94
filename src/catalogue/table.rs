//! The table itself. One row per cause, in the order in which an attempt can meet them: token, gateway,
//! platform, the function before it sends, the send itself, and what only this daemon knows.
//!
//! A row reads: key, kind, who acts, the codes by the place they were read in, then the sentence and the
//! next step in both languages. The facts come from WeChat's documentation and user reports; a code whose
//! meaning is uncertain stands where a mistake costs least (an unknown rather than a false "not sent").

use std::time::Duration;

use super::Kind::{
    Delivered, Outage, Permanent, Throttled, TokenRefused, Transient, Unknown, Unreachable,
};
use super::Pause;
use super::{Entry, Origin, Who};

const fn pause(seconds: u64) -> Pause {
    Pause::For(Duration::from_secs(seconds))
}

/// Something a person has to repair; one row probes every five minutes whether it has been.
const CONFIG: Pause = pause(300);
const TOMORROW: Pause = Pause::UntilTomorrow;

macro_rules! table {
    ($($key:ident $kind:expr, $who:ident [$($origin:ident $($code:literal)+),*]
        zh $zh:literal $next_zh:literal
        en $en:literal $next_en:literal;)+) => {
        /// Every cause there is.
        pub static ENTRIES: &[Entry] = &[$(Entry {
            key: stringify!($key),
            codes: &[$((Origin::$origin, &[$($code),+])),*],
            kind: $kind,
            who: Who::$who,
            zh: $zh,
            en: $en,
            next_zh: $next_zh,
            next_en: $next_en,
        }),+];
    };
}

table! {
    // ---- settled well ----
    accepted Delivered, Nobody [Send 0, Direct 0]
        zh "微信已接收" "无需处理；是否弹出由用户的微信设置决定"
        en "Accepted by WeChat" "Nothing to do; whether it pops up is the user's setting";
    accepted_duplicate Delivered, Nobody []
        zh "微信此前已接收，这次没有重复发送" "无需处理"
        en "Accepted by WeChat earlier; not sent twice" "Nothing to do";

    // ---- the token endpoint: nothing was sent ----
    token_busy Throttled, Nobody [Token -1]
        zh "微信凭证接口繁忙" "自动重试，无需处理"
        en "WeChat's token service is busy" "Retries by itself";
    secret_wrong Outage(CONFIG), Operator [Token 40001 40125]
        zh "小程序密钥（AppSecret）有误，不影响数据" "核对 MINIPROGRAM_APPSECRET，改正后自动恢复"
        en "The AppSecret is wrong; nothing is lost" "Check MINIPROGRAM_APPSECRET; sending resumes by itself";
    appid_wrong Outage(CONFIG), Operator [Token 40013, Send 40013, Direct 40013]
        zh "小程序 AppID 有误，不影响数据" "核对 MINIPROGRAM_APPID 的大小写和空格"
        en "The AppID is wrong; nothing is lost" "Check MINIPROGRAM_APPID: case, spaces, the right mini program";
    token_request_wrong Outage(CONFIG), Developer [Token 40002 41002 41004 43002]
        zh "取凭证的请求格式不对" "请开发人员检查设置和版本"
        en "The token request is malformed" "A developer checks the settings and the version";
    ip_not_allowed Outage(CONFIG), Operator [Token 40164]
        zh "服务器 IP 不在小程序白名单" "把详情中的 IP 加入“开发设置 → IP 白名单”"
        en "The server's IP is not in the whitelist" "Add the IP shown in the detail to the IP whitelist of the mini program";
    secret_frozen Outage(CONFIG), Operator [Token 40243]
        zh "小程序密钥已冻结" "在小程序后台解冻 AppSecret"
        en "The AppSecret is frozen" "Unfreeze the AppSecret in the console";
    token_quota Outage(TOMORROW), Operator [Token 45009]
        zh "今天取凭证的次数已用完，明天自动恢复" "查明谁在频繁取凭证；急用可在后台清零次数"
        en "Today's token quota is used up; resumes tomorrow" "Find out who fetches so often; the console can clear the quota";
    minute_limit Outage(pause(60)), Nobody [Token 45011, Send 45011, Direct 45011]
        zh "这一分钟调用太多，一分钟后继续" "自动重试，无需处理"
        en "Too many calls this minute; goes on in a minute" "Retries by itself";
    token_forbidden Outage(CONFIG), Operator [Token 50004]
        zh "该账号被禁止取凭证" "在小程序后台查看账号状态"
        en "The account may not fetch tokens" "Look at the account's state in the console";
    account_frozen Outage(CONFIG), Operator [Token 50007, Send 50002 50007, Direct 50002 50007]
        zh "小程序账号被冻结或受限" "在小程序后台处理账号限制"
        en "The mini program's account is frozen or limited" "Resolve the limitation in the console";
    managed_by_third_party Outage(CONFIG), Operator [Token 61024]
        zh "该小程序由第三方平台代管，不能直接取凭证" "改用该平台的凭证，或解除代管"
        en "A third-party platform manages this app; its own token is refused" "Use that platform's token or end the management";
    admin_must_confirm Outage(CONFIG), Operator [Token 89503 89501]
        zh "微信已向管理员发出确认，等待同意本服务器的 IP" "请小程序管理员在微信里点“同意”"
        en "WeChat asked the administrator to confirm this server's IP" "The administrator agrees in WeChat";
    ip_banned_hour Outage(pause(3600)), Operator [Token 89507]
        zh "管理员拒绝了本服务器的 IP，一小时内不可用" "请管理员下次点“同意”，一小时后自动再试"
        en "The administrator refused this server's IP; banned for an hour" "Ask the administrator to agree next time; retries after an hour";
    ip_banned_day Outage(pause(86_400)), Operator [Token 89506]
        zh "管理员两次拒绝本服务器的 IP，24 小时内不可用" "请联系管理员，24 小时后自动再试"
        en "The administrator refused this server's IP twice; banned for 24 hours" "Talk to the administrator; retries after 24 hours";
    token_unknown_code Outage(CONFIG), Developer []
        zh "取凭证失败，微信返回了不认识的错误码" "请开发人员按错误码查微信文档"
        en "No token: WeChat gave a code we do not know" "A developer looks the code up";
    token_unreachable Unreachable, Operator []
        zh "取凭证时连不上微信，消息没有发出" "自动重试；持续超过几分钟请检查网络"
        en "WeChat's token service was not reached; nothing was sent" "Retries by itself; check the network if it lasts minutes";
    token_unreadable Unreachable, Operator []
        zh "取凭证时收到的不是微信的答复，消息没有发出" "自动重试；持续出现请检查代理或网关"
        en "The token answer was not WeChat's; nothing was sent" "Retries by itself; if it lasts, check proxies and gateways";
    token_still_refused Outage(CONFIG), Operator []
        zh "换新后凭证仍被微信拒绝" "检查是否有别的系统在强制刷新凭证"
        en "The token is refused even after a refresh" "Check whether another system forces token refreshes";

    // ---- the gateway: the outer errcode ----
    token_refused TokenRefused, Operator [Outer 40001 40014 42001, Direct 40001 40014 42001]
        zh "凭证过期或失效，消息没有发出" "自动换新凭证；反复出现请检查是否有别的系统在取凭证"
        en "The token was refused; nothing was sent" "Refreshed by itself; if it keeps happening, another system fetches tokens";
    request_wrong Outage(CONFIG), Developer [Outer 41001 40101 43002 43003 44002]
        zh "调用云函数的请求格式不对" "请开发人员检查设置和版本"
        en "The call of the function is malformed" "A developer checks the settings and the version";
    cloud_not_opened Outage(CONFIG), Operator [Outer 85088]
        zh "该小程序没有开通云开发" "在开发者工具里开通云开发"
        en "Cloud development is not opened for this app" "Open it in the developer tools";
    api_not_authorised Outage(CONFIG), Operator [Outer 48001 48004, BeforeSend 48001 48004, Send 48001 48004, Direct 48001 48004]
        zh "接口没有权限或被封禁" "在小程序后台查看接口权限"
        en "The interface is not authorised or banned" "Look at the interface permissions in the console";
    environment_wrong Outage(CONFIG), Operator [Outer -501000 -501005 -501006 -601012, BeforeSend -501000 -501005 -501006 -601012]
        zh "云环境或函数名不对，或没有授权给该小程序" "核对 MINIPROGRAM_CLOUD_ENV、函数名和环境授权"
        en "The cloud environment or function is wrong or not authorised" "Check MINIPROGRAM_CLOUD_ENV, the function's name and who owns the environment";
    function_not_found Outage(CONFIG), Developer [Outer -501007 -501008 -501009 -501020 -501021 -601002, BeforeSend -501007 -501008 -501009 -501020 -501021 -601002]
        zh "云函数没有部署，或名称、参数不对" "部署 quickstartFunctions，核对函数名和环境"
        en "The function is not deployed, or its name or parameters are wrong" "Deploy quickstartFunctions; check the name and the environment";
    cloud_no_permission Outage(CONFIG), Operator [Outer -501018 -501019 -601004 -601018, BeforeSend -501018 -501019 -601004 -601018]
        zh "云资源不可用或没有权限" "在云开发控制台查看资源状态和权限"
        en "The cloud resource is unavailable or forbidden" "Look at resources and permissions in the cloud console";
    cloud_quota Outage(TOMORROW), Operator [Outer 45009 -501003 -501015 -501016 -501017, BeforeSend 45009 -501003 -501015 -501016 -501017, Send -501015 -501016]
        zh "云开发的额度已用完，明天自动恢复" "升级套餐，或等到明天"
        en "The cloud quota is used up; resumes tomorrow" "Raise the plan or wait until tomorrow";
    cloud_busy Throttled, Nobody [Outer -501004, BeforeSend -501004, Runtime 429 432]
        zh "云函数并发已满，这次没有执行" "自动稍后重试；经常出现请调低并发"
        en "The function's concurrency is full; it did not run" "Retries by itself; lower the concurrency if it keeps happening";
    cloud_system_error Unknown, Nobody [Outer -1 -1000 -501001 -501002 -504001 -601001 -601003 -601008 -502001 -502002 -502003 -502004 -502005 -502010 -502011 -502012 -502013 -502014 -502015 -604102 -604103 -605101]
        zh "微信云端出错，不确定是否已发送" "系统会先询问再重试，无需处理"
        en "WeChat's cloud failed; it may or may not have been sent" "Asks first, then retries by itself";
    function_failed Unknown, Developer [Outer -504002, Runtime 430]
        zh "云函数报错，不确定是否已发送" "系统会先询问再重试；反复出现请开发人员看云函数日志"
        en "The function threw; it may or may not have been sent" "Asks first, then retries; if it keeps happening a developer reads the function's log";
    function_timed_out Unknown, Developer [Outer -504003, Runtime 433]
        zh "云函数超时，不确定是否已发送" "系统会先询问再重试；请确认云函数超时已设为 10 秒以上"
        en "The function timed out; it may or may not have been sent" "Asks first, then retries; set the function's timeout to 10 s or more";
    // The message may be out although the answer was too large, so this is no certain refusal.
    result_too_large Unknown, Developer [Outer -604001, Runtime 407]
        zh "云函数返回的内容过大，不确定是否已发送" "请开发人员修正云函数的返回值"
        en "The function's answer was too large; it may or may not have been sent" "A developer fixes what the function returns";
    request_too_large Permanent, Developer [Runtime 406]
        zh "通知内容过大，云函数拒绝执行" "请开发人员缩小通知内容"
        en "The notification is too large for the function" "A developer makes the payload smaller";

    // ---- the function, before its send step: nothing was sent ----
    // Codes 1001 to 1006 are our function's own words.
    no_openid Permanent, CrmAdmin [BeforeSend 1004]
        zh "该员工没有绑定微信" "请该员工在小程序里登录绑定，然后重新发送"
        en "This person has no WeChat binding" "The person signs in to the mini program once; then send again";
    signature_refused Outage(CONFIG), Operator [BeforeSend 1003]
        zh "云函数不认可签名" "核对两边的签名密钥和服务器时间"
        en "The function refused the signature" "Check the signing secret on both sides and the server's clock";
    function_too_old Outage(CONFIG), Developer [BeforeSend 1002]
        zh "云函数不认识这种请求" "重新部署与本程序同版本的 quickstartFunctions"
        en "The function does not know this kind of call" "Deploy the quickstartFunctions that came with this version";
    caller_refused Outage(CONFIG), Developer [BeforeSend 1005]
        zh "云函数只接受服务器调用" "请开发人员检查调用方式"
        en "The function takes calls from servers only" "A developer checks how the function is called";
    event_refused Permanent, Developer [BeforeSend 1001]
        zh "云函数看不懂这条通知，没有发送" "请开发人员检查通知内容和云函数版本"
        en "The function cannot read this notification; not sent" "A developer checks the payload and the function's version";
    no_template Permanent, Developer [BeforeSend 1006]
        zh "云函数没有为这类通知配置模板" "请开发人员在云函数里配置模板，然后重新发送"
        en "The function has no template for this kind of event" "A developer adds the template; then send again";
    function_database_busy Transient, Nobody [BeforeSend -1 -501001 -501002 -502001 -502010 -502011 -502012 -502013 -502014 -502015 -601001 -601003 -601008 -604102 -604103]
        zh "云数据库暂时出错，消息没有发出" "自动重试，无需处理"
        en "The cloud database failed for a moment; nothing was sent" "Retries by itself";
    function_setup_wrong Outage(CONFIG), Developer [BeforeSend -502002 -502003 -502004 -502005 -605101, Send -502003 -502005]
        zh "云函数缺少数据集合或权限" "请开发人员按部署清单建立集合"
        en "The function lacks a collection or a permission" "A developer creates the collections of the deployment checklist";

    // ---- the send step ----
    not_subscribed Permanent, Recipient [Send 43101, BeforeSend 43101, Direct 43101]
        zh "微信拒收：用户没有授权，或授权次数已用完" "请对方在小程序里点“允许”，然后重新发送"
        en "Refused by WeChat: not authorised, or the one-time permission is spent" "The person taps “allow” in the mini program; then send again";
    openid_wrong Permanent, CrmAdmin [Send 40003 43104, BeforeSend 40003 43104, Direct 40003 43104]
        zh "该员工的 openid 不属于本小程序" "请该员工在本小程序里重新登录绑定"
        en "This person's openid belongs to another app" "The person signs in to this mini program again";
    content_refused Permanent, Developer [Send 47003 47001, BeforeSend 47003 47001, Direct 47003 47001]
        zh "模板内容不符合微信的要求，重试无用" "请开发人员按详情中的字段修正模板映射"
        en "The content does not fit the template; retrying is useless" "A developer fixes the field named in the detail";
    sensitive_word Permanent, CrmAdmin [Send 45168, BeforeSend 45168, Direct 45168]
        zh "内容含有微信的敏感词，重试无用" "修改客户名称或备注里的敏感词，再重新发送"
        en "The content has a word WeChat forbids; retrying is useless" "Change the word in the customer's name or note; then send again";
    template_wrong Outage(CONFIG), Developer [Send 40037, BeforeSend 40037, Direct 40037]
        zh "消息模板不存在或已删除" "请开发人员核对模板 ID"
        en "The message template does not exist" "A developer checks the template id";
    page_wrong Outage(CONFIG), Developer [Send 41030, BeforeSend 41030, Direct 41030]
        zh "跳转页面不在正式版小程序里" "请开发人员核对页面路径（不以 / 开头），或发布小程序"
        en "The page is not in the released mini program" "A developer checks the path (no leading /) or releases the mini program";
    template_banned Outage(CONFIG), Operator [Send 43107, BeforeSend 43107, Direct 43107]
        zh "订阅消息能力或模板被封禁" "在小程序后台查看封禁原因"
        en "Subscribe messages or the template are banned" "Read the reason in the console";
    function_no_openapi_permission Outage(CONFIG), Developer [Send -604101, BeforeSend -604101, Outer -604101]
        zh "云函数没有发送订阅消息的权限" "在 config.json 里加 subscribeMessage.send 后重新上传，十分钟后生效"
        en "The function may not send subscribe messages" "Add subscribeMessage.send to its config.json and upload; takes ten minutes";
    function_calls_wrong_api Outage(CONFIG), Developer [Send -604100 -604104 41028 41029 10001 10002 10003 10004 10005 20001 20002 20003 20004 20005 20013 200011, BeforeSend -604100 -604104, Outer -604100 -604104]
        zh "云函数调用了错误的微信接口" "请开发人员检查云函数的代码"
        en "The function calls the wrong WeChat interface" "A developer checks the function's code";
    message_quota Outage(TOMORROW), Operator [Send 45009, Direct 45009]
        zh "今天的消息额度已用完，明天自动恢复" "等到明天，或在后台查看额度"
        en "Today's message quota is used up; resumes tomorrow" "Wait until tomorrow or look at the quota in the console";
    same_person_busy Throttled, Nobody [Send 43108, Direct 43108]
        zh "同一用户的另一条消息正在发送，稍后再发" "自动重试，无需处理"
        en "Another message to the same person is on its way" "Retries by itself";
    inner_token_refused Outage(pause(60)), Developer [Send 40001 40014 42001, BeforeSend 40001 40014 42001]
        zh "云函数内部的凭证被拒，一分钟后再试" "自动重试；反复出现请开发人员检查云函数"
        en "WeChat refused the function's own credential; tries again in a minute" "Retries by itself; if it keeps happening a developer checks the function";
    send_ambiguous Unknown, Support [Send -1 -501001 -501002 -604102 -604103, Direct -1]
        zh "微信没有给出明确结果，可能已收到" "先问对方是否收到；重发可能重复"
        en "WeChat gave no clear result; it may have arrived" "Ask the person first; a resend may double it";

    // ---- sent by this daemon itself ----
    send_request_wrong Outage(CONFIG), Developer [Direct 41001 43002 43003 44002 41028 41029]
        zh "发送订阅消息的请求格式不对" "请开发人员检查设置和版本"
        en "The call that sends the message is malformed" "A developer checks the settings and the version";
    template_missing Permanent, Developer []
        zh "没有为这类通知配置模板，没有发送" "请开发人员在 templates 所指的文件里加上，重启后重新发送"
        en "There is no template for this kind of event; not sent" "A developer adds it to the file of templates; restart, then send again";
    openid_query_wrong Outage(CONFIG), Developer []
        zh "查 openid 的语句出错，消息没有发出" "请开发人员按详情修正 openid_query，重启后自动恢复"
        en "The query for the openid is wrong; nothing was sent" "A developer corrects openid_query, as the detail says, and restarts";
    openid_query_failed Unreachable, Operator []
        zh "查 openid 时数据库没有应答，消息没有发出" "自动重试；持续出现请检查数据库和该语句的耗时"
        en "The database did not answer the query for the openid; nothing was sent" "Retries by itself; if it lasts, look at the database and how long the query takes";

    // ---- codes nobody has told us about ----
    unknown_code Unknown, Developer []
        zh "微信返回了不认识的错误码，不确定是否已发送" "系统会先询问再重试；请开发人员按错误码查文档"
        en "WeChat gave a code we do not know; it may or may not have been sent" "Asks first, then retries; a developer looks the code up";
    unknown_refusal Transient, Developer []
        zh "被拒绝，错误码不认识，消息没有发出" "自动重试几次；请开发人员按错误码查文档"
        en "Refused with a code we do not know; nothing was sent" "Retries a few times; a developer looks the code up";

    // ---- HTTP and transport ----
    not_reached_dns_connect_tls Unreachable, Operator []
        zh "连不上微信（域名、连接或证书），消息没有发出" "自动重试；持续超过几分钟请检查网络"
        en "WeChat was not reached (DNS, connect or TLS); nothing was sent" "Retries by itself; check the network if it lasts minutes";
    timed_out Unknown, Nobody []
        zh "请求发出后没有等到答复，不确定是否已发送" "系统会先询问再重试，无需处理"
        en "No answer in time; it may or may not have been sent" "Asks first, then retries by itself";
    connection_lost Unknown, Nobody []
        zh "请求发出后连接中断，不确定是否已发送" "系统会先询问再重试，无需处理"
        en "The connection broke after the call; it may or may not have been sent" "Asks first, then retries by itself";
    unreadable_answer Unknown, Developer []
        zh "答复无法识别，不确定是否已发送" "系统会先询问再重试；反复出现请开发人员看详情"
        en "The answer could not be read; it may or may not have been sent" "Asks first, then retries; if it keeps happening a developer reads the detail";
    http_5xx Unknown, Nobody []
        zh "微信服务器出错，不确定是否已发送" "系统会先询问再重试，无需处理"
        en "WeChat's server failed; it may or may not have been sent" "Asks first, then retries by itself";
    http_429 Throttled, Nobody [Http 429]
        zh "请求太多，稍后再发" "自动重试，无需处理"
        en "Too many requests; goes on a little later" "Retries by itself";
    http_4xx Outage(CONFIG), Developer []
        zh "请求被微信的网关拒绝" "请开发人员检查设置、代理和版本"
        en "WeChat's gateway refused the request" "A developer checks settings, proxies and the version";
    redirected Outage(CONFIG), Operator []
        zh "微信地址被重定向到别处，未跟随" "检查 base_url 和网络代理"
        en "The address redirects elsewhere; not followed" "Check base_url and proxies";

    // ---- a receiver of one's own, called over HTTP ----
    taken Delivered, Nobody []
        zh "接收方已接收" "无需处理；之后如何送达由接收方负责"
        en "Accepted by the receiving service" "Nothing to do; what follows is up to that service";
    taken_earlier Delivered, Nobody []
        zh "接收方此前已接收，这次没有重复发送" "无需处理"
        en "Accepted by the receiving service earlier; not sent twice" "Nothing to do";
    receiver_not_reached Unreachable, Operator []
        zh "连不上接收方（域名、连接或证书），消息没有发出" "自动重试；持续超过几分钟请检查 target_url 和网络"
        en "The receiver was not reached (DNS, connect or TLS); nothing was sent" "Retries by itself; check target_url and the network if it lasts minutes";
    receiver_internal Outage(CONFIG), Operator []
        zh "接收方的域名指向内部地址，没有调用" "核对 target_url；确实要调用内部服务，请把 主机:端口 加入 allow"
        en "The receiver's name leads to an internal address; not called" "Check target_url; if an internal service is meant, add its host:port to allow";
    receiver_refused Permanent, Developer [Receiver 400 404 410 413 422]
        zh "接收方拒绝了这条通知，重试无用" "请开发人员看详情中的状态码"
        en "The receiver refused this notification; retrying is useless" "A developer looks at the status in the detail";
    receiver_forbids Outage(CONFIG), Operator [Receiver 401 403 407]
        zh "接收方不认可我们的身份或签名" "核对两边的 webhook_secret 和服务器时间"
        en "The receiver does not accept our signature" "Check webhook_secret on both sides and the server's clock";
    receiver_busy Throttled, Nobody [Receiver 425 429]
        zh "接收方暂时太忙，稍后再发" "自动重试，无需处理"
        en "The receiver is too busy; goes on a little later" "Retries by itself";
    receiver_not_yet Transient, Nobody [Receiver 408 409]
        zh "接收方暂时没有接收，消息没有发出" "自动重试，无需处理"
        en "The receiver did not take it this time; nothing was sent" "Retries by itself";
    receiver_setup_wrong Outage(CONFIG), Developer []
        zh "接收方不接受这种请求" "请开发人员看详情中的状态码，核对 target_url"
        en "The receiver does not take this kind of request" "A developer looks at the status in the detail and checks target_url";
    receiver_redirects Outage(CONFIG), Operator []
        zh "接收方的地址被重定向到别处，未跟随" "把 target_url 改成最终的地址"
        en "The receiver's address redirects elsewhere; not followed" "Set target_url to the final address";
    receiver_mute Outage(CONFIG), Developer []
        zh "接收方没有回答询问，这次没有发送" "请开发人员实现 inquire，或把 on_unknown 改为 stop 或 resend"
        en "The receiver does not answer inquire; this attempt sent nothing" "A developer implements inquire, or sets on_unknown to stop or resend";

    // ---- no clear answer, where the receiver cannot be asked or is one's own ----
    unanswered_asked Unknown, Nobody []
        zh "请求发出后没有得到明确答复，不确定是否已发送" "系统会先询问再重试，无需处理"
        en "No clear answer after the call; it may or may not have been sent" "Asks first, then retries by itself";
    unanswered_resent Unknown, Nobody []
        zh "请求发出后没有得到明确答复，可能已收到" "按 on_unknown = resend 自动重发，可能重复"
        en "No clear answer after the call; it may have arrived" "Sent again by itself, as on_unknown = resend asks; it may double";
    unanswered_stopped Unknown, Support []
        zh "请求发出后没有得到明确答复，可能已收到" "先问对方是否收到；重发可能重复"
        en "No clear answer after the call; it may have arrived" "Ask the person first; a resend may double it";

    // ---- the receiver's own words ----
    wrong_key_echoed Unknown, Developer []
        zh "云函数答复的不是这条通知，不确定是否已发送" "请开发人员检查云函数版本"
        en "The function answered for another notification; it may or may not have been sent" "A developer checks the function's version";
    // A branch that forgets its `return` may have sent, so the notify call proves nothing; asked with
    // `inquire`, the same silence is an outage (see wechat::reply).
    function_undefined Unknown, Developer []
        zh "云函数没有返回结果：可能没有部署通知分支" "部署本项目的 quickstartFunctions"
        en "The function returned nothing: it may lack the notify branch" "Deploy this project's quickstartFunctions";
    in_progress Throttled, Nobody []
        zh "云函数正在发送这条通知，稍后确认" "自动确认，无需处理"
        en "The function is sending it right now; checked again shortly" "Checks by itself";
    stale_epoch Transient, Nobody []
        zh "云函数见过更新的请求，这次没有发送" "自动重试，无需处理"
        en "The function has seen a newer call; this one sent nothing" "Retries by itself";
    sealed Permanent, Nobody []
        zh "该通知已封存，没有发送，也不会再发" "无需处理；需要时新建通知"
        en "Sealed: it was not sent and never will be" "Nothing to do; create a new notification if one is needed";
    receiver_unknown Unknown, Support []
        zh "云函数也无法确定，可能已收到" "先问对方是否收到；重发可能重复"
        en "The function cannot tell either; it may have arrived" "Ask the person first; a resend may double it";

    // ---- known to this daemon alone ----
    attempts_spent Permanent, Support []
        zh "已试完规定次数后停止" "看最后一次的原因，处理后可重新发送"
        en "Stopped after the last try" "Read why the last try failed; it can be sent again";
    expired Permanent, Nobody []
        zh "已过有效期，没有再发送" "无需处理；仍需要时可重新发送"
        en "Too late to be of use; not sent any more" "Nothing to do; send again if it is still needed";
    superseded Permanent, Nobody []
        zh "已有更新的分配，这条不再发送" "无需处理"
        en "A newer assignment took its place; not sent" "Nothing to do";
    cancelled Permanent, Nobody []
        zh "已被取消" "无需处理"
        en "Cancelled" "Nothing to do";
    kills_worker Permanent, Developer []
        zh "处理这条通知时程序三次异常退出，已隔离" "请开发人员检查这条通知的内容"
        en "The daemon died three times on this one; set aside" "A developer looks at its payload";
    lease_lapsed Unknown, Support []
        zh "请求发出后程序中断，结果不明，可能已收到" "系统会先询问再重试，无需处理"
        en "The daemon stopped in the middle; it may have arrived" "Asks first, then retries by itself";
    released Throttled, Nobody []
        zh "程序正常停止，尚未发送，已放回队列" "自动继续，无需处理"
        en "The daemon shut down before the call; back in the queue" "Goes on by itself";
    deadline_too_short Throttled, Nobody []
        zh "剩余时间不够一次调用，已放回队列" "自动继续；经常出现请运维加长租期"
        en "Not enough time left for a call; back in the queue" "Goes on by itself; if it keeps happening lengthen the lease";
    app_paused Throttled, Operator []
        zh "该小程序已暂停发送，恢复后继续" "看暂停原因；由运维恢复"
        en "Sending is paused for this app; goes on afterwards" "Read why it is paused; an operator resumes it";
    payload_unusable Permanent, Developer []
        zh "通知内容无法编码或签名，没有发送" "请开发人员检查这条通知的内容（数字过大、嵌套过深）"
        en "The payload cannot be encoded or signed; not sent" "A developer looks at its payload (a number too large, too deep)";
}
