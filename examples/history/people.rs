//! Invented people, each made of a number alone, so that a past can be written and asked about without being kept.
//!
//! Surnames come about as often as in China, given names from common characters; half of the customers are known as
//! Ms or Mr only, as salespeople write them down. Every telephone number begins with 100, which no mobile network has.

/// Surnames, the frequent ones first; those of two characters stand at the end.
const SURNAMES: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万";
const DOUBLE: [&str; 4] = ["欧阳", "上官", "司马", "诸葛"];
const GIVEN: &str = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华文建国玉兰红梅婷雪琳佳慧宇轩子涵浩然梓萱欣怡晨曦嘉懿煜城思远若溪";

/// How many colleagues are told.
pub(crate) const STAFF: u64 = 500;

pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) phone: String,
}

/// The customer of this number.
pub(crate) fn customer(number: u64) -> Person {
    let dice = scatter(number);
    let name = match dice % 6 {
        0..2 => format!("{}女士", surname(dice >> 8)),
        2 => format!("{}先生", surname(dice >> 8)),
        _ => full_name(dice >> 8),
    };
    Person {
        name,
        phone: format!("100{:08}", scatter(dice) % 100_000_000),
    }
}

/// The name of the colleague of this number.
pub(crate) fn colleague(number: u64) -> String {
    full_name(scatter(number ^ 0x5747_4646))
}

fn full_name(dice: u64) -> String {
    let given: Vec<char> = GIVEN.chars().collect();
    let pick = |dice: u64| given[usize::try_from(dice % given.len() as u64).unwrap_or(0)];
    let mut name = surname(dice);
    name.push(pick(dice >> 20));
    if !(dice >> 50).is_multiple_of(4) {
        name.push(pick(dice >> 32));
    }
    name
}

/// Squared, so that the first ones come most often.
fn surname(dice: u64) -> String {
    if dice.is_multiple_of(499) {
        return DOUBLE[usize::try_from(dice / 499 % 4).unwrap_or(0)].to_owned();
    }
    let surnames: Vec<char> = SURNAMES.chars().collect();
    let share = (dice % 10_000) as f64 / 10_000.0;
    surnames[(share * share * surnames.len() as f64) as usize].to_string()
}

/// Numbers that follow each other become numbers that do not (splitmix64).
pub(crate) fn scatter(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
