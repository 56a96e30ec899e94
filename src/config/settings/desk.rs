//! The settings of the desk: where it listens, who may come in, and where a payload keeps names.

use crate::config::Needs;
use crate::config::kind::*;
use crate::config::setting::{Absent, Scope, Setting};
use crate::config::words::Words;

pub static DESK_LISTEN: Setting<Address> = Setting {
    env: "OUTBOXD_DESK_LISTEN",
    also: None,
    key: "desk.listen",
    scope: Scope::Daemon,
    needs: Needs::Desk,
    absent: Absent::Default("127.0.0.1:9091"),
    doc: Words::new(
        "Where `serve` shows the desk. Another address than this machine's own needs `OUTBOXD_DESK_USERS`, or `OUTBOXD_DESK_PROXY` and `OUTBOXD_DESK_USER_HEADER`.",
        "`serve` 在哪个地址提供客服台。若不是本机回环地址，必须设置 `OUTBOXD_DESK_USERS`，或同时设置 `OUTBOXD_DESK_PROXY` 和 `OUTBOXD_DESK_USER_HEADER`。",
    ),
    kind: Address,
};

pub static DESK_URL: Setting<PublicUrl> = Setting {
    env: "OUTBOXD_DESK_URL",
    also: None,
    key: "desk.url",
    scope: Scope::Daemon,
    needs: Needs::Desk,
    absent: Absent::Means(Words::new(
        "the address people typed, without a path",
        "用户输入的地址，没有路径",
    )),
    doc: Words::new(
        "The desk's address as people type it, when a proxy stands before it. Its path is the prefix of every page; with `https://` cookies go over https only. It needs the same as another address to listen on.",
        "前面有反向代理时，用户实际输入的客服台地址。其中的路径是所有页面的前缀；写 `https://` 时 Cookie 只走 https。与监听本机以外的地址一样，必须设置谁可以进入。",
    ),
    kind: PublicUrl,
};

pub static DESK_USERS: Setting<FilePath> = Setting {
    env: "OUTBOXD_DESK_USERS",
    also: None,
    key: "desk.users",
    scope: Scope::Daemon,
    needs: Needs::Desk,
    absent: Absent::Means(Words::new(
        "nobody logs in: on this machine's own address everybody may act",
        "不需要登录：本机回环地址上人人可操作",
    )),
    doc: Words::new(
        "The file of those who may come in, a line each: name, role (`viewer` or `operator`), and what `outboxd desk-password` printed. Read again when it changes.",
        "允许进入客服台的人员文件，每人一行：名字、角色（`viewer` 只能查看，`operator` 可以操作）、`outboxd desk-password` 打印的内容。文件修改后自动重新读取。",
    ),
    kind: FilePath,
};

pub static DESK_SECRET: Setting<Hidden> = Setting {
    env: "OUTBOXD_DESK_SECRET",
    also: None,
    key: "desk.secret",
    scope: Scope::Daemon,
    needs: Needs::Desk,
    absent: Absent::Means(Words::new(
        "a new one at each start, which ends all sessions",
        "每次启动重新生成，之前的登录全部失效",
    )),
    doc: Words::new(
        "Signs the desk's cookies. Several desks behind one address need the same.",
        "给客服台的 Cookie 签名。同一地址后面有多个客服台时必须相同。",
    ),
    kind: Hidden::DeskSecret,
};

pub static DESK_PROXY: Setting<Networks> = Setting {
    env: "OUTBOXD_DESK_PROXY",
    also: None,
    key: "desk.proxy",
    scope: Scope::Daemon,
    needs: Needs::Desk,
    absent: Absent::Means(Words::new("no header is believed", "不相信任何请求头")),
    doc: Words::new(
        "The addresses of the proxy before the desk. Only requests from there are believed when they say where a visitor comes from (`X-Forwarded-For`) and, with `OUTBOXD_DESK_USER_HEADER`, who it is.",
        "客服台前面的代理的地址。只有来自这些地址的请求，才相信其中的来源地址（`X-Forwarded-For`）；设置了 `OUTBOXD_DESK_USER_HEADER` 时，也相信其中声明的用户名。",
    ),
    kind: Networks,
};

pub static DESK_USER_HEADER: Setting<Name> = Setting {
    env: "OUTBOXD_DESK_USER_HEADER",
    also: None,
    key: "desk.user_header",
    scope: Scope::Daemon,
    needs: Needs::Desk,
    absent: Absent::Means(Words::new(
        "a proxy names nobody: people log in at the desk",
        "代理不声明用户名：用户在客服台登录",
    )),
    doc: Words::new(
        "The header in which that proxy says who somebody is, such as `X-Forwarded-User`, when it has people log in. It must remove that header from what comes from outside.",
        "代理负责登录时，用哪个请求头声明用户名，例如 `X-Forwarded-User`。代理必须去掉外部请求自带的这个请求头。",
    ),
    kind: Name {
        marks: "-",
        longest: 64,
    },
};

pub static DESK_OPERATORS: Setting<Names> = Setting {
    env: "OUTBOXD_DESK_OPERATORS",
    also: None,
    key: "desk.operators",
    scope: Scope::Daemon,
    needs: Needs::Desk,
    absent: Absent::Means(Words::new(
        "nobody: whom the proxy names may look and not act",
        "无：代理声明的用户只能查看，不能操作",
    )),
    doc: Words::new(
        "Who of those the proxy names may act; `*` is everybody.",
        "代理声明的用户中谁可以操作；`*` 表示所有人。",
    ),
    kind: Names,
};

pub static DESK_READ_ONLY: Setting<Choice<bool>> = Setting {
    env: "OUTBOXD_DESK_READ_ONLY",
    also: None,
    key: "desk.read_only",
    scope: Scope::Daemon,
    needs: Needs::Desk,
    absent: Absent::Default("false"),
    doc: Words::new(
        "`true` lets everybody look and nobody act, whatever their role.",
        "写 `true` 时所有人都只能查看，不能操作，不论角色。",
    ),
    kind: Choice(&[("false", false), ("true", true)]),
};

pub static DESK_CUSTOMER_LABEL: Setting<PayloadFields> = Setting {
    env: "OUTBOXD_DESK_CUSTOMER_LABEL",
    also: None,
    key: "desk.customer_label",
    scope: Scope::Daemon,
    needs: Needs::Database,
    absent: Absent::Default("aggregate_label, customerName"),
    doc: Words::new(
        "The field of the payload with the customer's name; of several the first that is there. Without one the customer's id is shown. The search finds people by what these three settings name: daemon, desk and command line of one database must agree.",
        "消息内容中客户姓名所在的字段；写了多个时取第一个存在的，都没有时显示客户编号。搜索按这三项设置所指的内容找人，所以同一个数据库的守护进程、客服台和命令行必须一致。",
    ),
    kind: PayloadFields,
};

pub static DESK_RECIPIENT_LABEL: Setting<PayloadFields> = Setting {
    env: "OUTBOXD_DESK_RECIPIENT_LABEL",
    also: None,
    key: "desk.recipient_label",
    scope: Scope::Daemon,
    needs: Needs::Database,
    absent: Absent::Default("recipient_label, recipientName"),
    doc: Words::new("The same for the recipient's name.", "同上，接收人的姓名。"),
    kind: PayloadFields,
};

pub static DESK_PHONE: Setting<PayloadFields> = Setting {
    env: "OUTBOXD_DESK_PHONE",
    also: None,
    key: "desk.phone",
    scope: Scope::Daemon,
    needs: Needs::Database,
    absent: Absent::Default("phone, customerPhone"),
    doc: Words::new(
        "The same for the customer's phone number, which is shown as `138****8000`.",
        "同上，客户的手机号，显示为 `138****8000`。",
    ),
    kind: PayloadFields,
};

pub static DESK_BADGE_SECRET: Setting<Hidden> = Setting {
    env: "OUTBOXD_DESK_BADGE_SECRET",
    also: None,
    key: "desk.badge_secret",
    scope: Scope::Daemon,
    needs: Needs::Desk,
    absent: Absent::Means(Words::new("there are no badges", "不提供状态徽章")),
    doc: Words::new(
        "Shared with the CRM, which signs with it the badges that its pages show. A secret of its own, for nothing else.",
        "与 CRM 共用；CRM 用它给自己页面上嵌入的状态徽章签名。请单独生成，不要用于别处。",
    ),
    kind: Hidden::DeskSecret,
};

pub static DESK_BADGE_ORIGINS: Setting<Origins> = Setting {
    env: "OUTBOXD_DESK_BADGE_ORIGINS",
    also: None,
    key: "desk.badge_origins",
    scope: Scope::Daemon,
    needs: Needs::Desk,
    absent: Absent::Means(Words::new(
        "no page may frame a badge; an image of it may stand anywhere",
        "任何页面都不能用 iframe 嵌入徽章；图片形式不受限制",
    )),
    doc: Words::new(
        "The CRM's pages that may frame a badge, by scheme and host.",
        "允许用 iframe 嵌入徽章的 CRM 页面来源：协议加主机名。",
    ),
    kind: Origins,
};
