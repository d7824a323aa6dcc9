//! Tests of the room: rules in, rules out, and what they allow.

use super::*;
use crate::resp::OwnedArgv;
use crate::spec::*;

/// A few commands of each kind.
static SPECS: &[Spec] = &[
    Spec::new("auth", Group::Connection, -2, "").flags(&[FAST, NO_AUTH]),
    Spec::container("client", Group::Connection),
    Spec::new("client|id", Group::Connection, 2, ""),
    Spec::new("client|kill", Group::Connection, -3, "").flags(&[ADMIN]),
    Spec::container("config", Group::Server),
    Spec::new("config|get", Group::Server, -3, "").flags(&[ADMIN]),
    Spec::new("config|set", Group::Server, -4, "").flags(&[ADMIN]),
    Spec::new("copy", Group::Generic, -3, "")
        .flags(&[WRITE])
        .categories(&[Category::Keyspace])
        .keys(&[KeySpec::one(1, &[RO, ACCESS]), KeySpec::one(2, &[OW, UPDATE])]),
    Spec::new("debug", Group::Server, -2, "").flags(&[ADMIN]),
    Spec::new("exists", Group::Generic, -2, "")
        .flags(&[READONLY, FAST])
        .categories(&[Category::Keyspace])
        .keys(&[KeySpec::range(1, -1, 1, &[RO])]),
    Spec::new("get", Group::String, 2, "").flags(&[READONLY, FAST]).keys(&[KeySpec::one(1, &[RO, ACCESS])]),
    Spec::new("keys", Group::Generic, 2, "")
        .flags(&[READONLY])
        .categories(&[Category::Keyspace, Category::Dangerous]),
    Spec::new("mget", Group::String, -2, "").flags(&[READONLY, FAST]).keys(&[KeySpec::range(
        1,
        -1,
        1,
        &[RO, ACCESS],
    )]),
    Spec::new("psubscribe", Group::PubSub, -2, "").flags(&[PUBSUB]).channels(Channels::SubscribePatterns),
    Spec::new("publish", Group::PubSub, 3, "").flags(&[PUBSUB, FAST]).channels(Channels::Publish),
    Spec::new("punsubscribe", Group::PubSub, -1, "").flags(&[PUBSUB]).channels(Channels::UnsubscribePatterns),
    Spec::new("save", Group::Server, 1, "").flags(&[ADMIN]),
    Spec::new("select", Group::Connection, 2, "").flags(&[FAST]),
    Spec::new("set", Group::String, -3, "").flags(&[WRITE, DENYOOM]).keys(&[KeySpec::one(1, &[OW, UPDATE])]),
    Spec::new("shutdown", Group::Server, -1, "").flags(&[ADMIN]),
    Spec::new("subscribe", Group::PubSub, -2, "").flags(&[PUBSUB]).channels(Channels::Subscribe),
];

fn catalog() -> Catalog {
    Catalog::new(SPECS.iter().map(|spec| (spec.name, spec.acl_categories())), [])
}

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').filter(|word| !word.is_empty()).map(str::as_bytes).collect()
}

/// A user after some rules, or what is wrong with them.
fn user(rules: &str) -> Result<User, String> {
    let catalog = catalog();
    let book = Rulebook { catalog: &catalog, all_channels: false };
    Users::new(&catalog).changed(b"bob", &words(rules), book).map_err(|error| error.to_string())
}

fn line(rules: &str) -> String {
    let line = user(rules).unwrap_or_else(|error| panic!("{rules}: {error}")).line(b"bob", &catalog());
    String::from_utf8(line).expect("rules are text")
}

fn check(user: &User, call: &str) -> Result<(), Denial> {
    let argv = OwnedArgv::from_parts(words(call));
    let argv = argv.as_argv();
    let full = format!("{}|{}", call.split(' ').next().unwrap(), call.split(' ').nth(1).unwrap_or_default());
    let catalog = catalog();
    let number = catalog.find(full.as_bytes()).or_else(|| catalog.find(argv.at(0))).expect(call);
    user.check(number, &SPECS[number], argv)
}

#[test]
fn commands_are_told_as_the_rules_that_fit_best() {
    for (rules, commands) in [
        ("", "-@all"),
        ("allcommands", "+@all"),
        ("+@all nocommands +get", "-@all +get"),
        ("+get +GET +get -set", "-@all +get"),
        ("+@all -@string", "+@all -@string"),
        ("+@pubsub -publish +auth", "-@all +@pubsub +auth -publish"),
        ("+config|get", "-@all +config|get"),
        ("+config|get +config", "-@all +config"),
        ("+config -config|set", "-@all +config -config|set"),
        ("+@all -client|kill", "+@all -client|kill"),
        ("+@all -client +client|id", "+@all -client +client|id"),
        ("+@all +client|id", "+@all"),
        ("+@slow", "-@all +@slow"),
        ("+@all -@dangerous -@admin", "+@all -@dangerous"),
        ("+@all -select +select|0 +SELECT|1 +select|0", "+@all -select +select|0 +select|1"),
        ("-select +select|0 -select", "-@all"),
        ("+select|0 +@fast", "-@all +@fast"),
        ("+@all +select|5", "+@all"),
    ] {
        assert_eq!(line(rules), format!("user bob off resetchannels {commands}"), "{rules}");
    }
    for category in Category::ALL.into_iter().filter(|category| catalog().in_category(*category).count() > 2)
    {
        for rules in [format!("+@all -@{}", category.name()), format!("-@all +@{}", category.name())] {
            assert_eq!(line(&line(&rules)[9..]), line(&rules), "what is told can be said again");
        }
    }
}

#[test]
fn users_are_told_as_the_rules_that_make_them() {
    let hash = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    for (rules, told) in [
        ("on >foo >foo", format!("on #{hash} resetchannels -@all")),
        ("on >foo nopass", "on nopass resetchannels -@all".to_string()),
        ("nopass >foo", format!("off #{hash} resetchannels -@all")),
        ("on >foo <foo", "on resetchannels -@all".to_string()),
        ("nopass resetpass", "off resetchannels -@all".to_string()),
        ("skip-sanitize-payload ON", "on skip-sanitize-payload resetchannels -@all".to_string()),
        ("on +get ~a reset", "off sanitize-payload resetchannels -@all".to_string()),
        ("~a %R~b %W~b %rw~c %w~d", "off ~a ~b ~c %W~d resetchannels -@all".to_string()),
        ("%R ~", "off ~ resetchannels -@all".to_string()),
        ("~a allkeys &a &* resetkeys ~b", "off ~b &* -@all".to_string()),
        ("&a &a & allchannels resetchannels &b", "off resetchannels &b -@all".to_string()),
        (
            "(+get ~a) ( +set %R~b ) (allkeys)",
            "off resetchannels -@all (~a resetchannels -@all +get) (%R~b resetchannels -@all +set) \
             (~* resetchannels -@all)"
                .to_string(),
        ),
        ("(+get) clearselectors ()", "off resetchannels -@all (resetchannels -@all)".to_string()),
    ] {
        assert_eq!(line(rules), format!("user bob {told}"), "{rules}");
    }
    let catalog = catalog();
    assert_eq!(Users::new(&catalog).file_text(&catalog), b"user default on nopass ~* &* +@all\n");
}

#[test]
fn a_wrong_rule_is_told_in_the_words_of_redis() {
    const UNKNOWN: &str = "Unknown command or category name in ACL";
    const SYNTAX: &str = "Syntax error";
    const HASH: &str =
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
    const AFTER_ALL: &str = "is not valid and does not have any effect. Try 'reset";
    for (rules, wrong, reason) in [
        ("foo", "foo", SYNTAX),
        ("+nosuch", "+nosuch", UNKNOWN),
        ("-nosuch", "-nosuch", UNKNOWN),
        ("+@nosuch", "+@nosuch", UNKNOWN),
        ("+", "+", UNKNOWN),
        ("+@", "+@", UNKNOWN),
        ("+get|foo|bar", "+get|foo|bar", UNKNOWN),
        ("-get|foo", "-get|foo", UNKNOWN),
        ("+client|nosuch", "+client|nosuch", UNKNOWN),
        ("+client|", "+client|", SYNTAX),
        ("+get|", "+get|", SYNTAX),
        ("+config|get|x", "+config|get|x", "Allowing first-arg of a subcommand is not supported"),
        ("%", "%", SYNTAX),
        ("%~x", "%~x", SYNTAX),
        ("%RX~x", "%RX~x", SYNTAX),
        ("%RR~x", "%RR~x", SYNTAX),
        ("~* ~a", "~a", AFTER_ALL),
        ("allchannels &a", "&a", AFTER_ALL),
        ("#12", "#12", HASH),
        (
            "!2C26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
            "!2C26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
            HASH,
        ),
        ("<foo", "<foo", "The password you are trying to remove from the user does not exist"),
        ("((+get))", "((+get))", SYNTAX),
        ("(+get on)", "(+get on)", SYNTAX),
        (")", ")", SYNTAX),
    ] {
        let error = user(rules).expect_err(rules);
        assert!(error.starts_with(&format!("Error in ACL SETUSER modifier '{wrong}': ")), "{rules}: {error}");
        assert!(error.contains(reason), "{rules}: {error}");
    }
    let open = "Unmatched parenthesis in acl selector starting at '(+get'.";
    assert_eq!(user("on (+get ~a").expect_err("open"), open);
    let catalog = catalog();
    let book = Rulebook { catalog: &catalog, all_channels: true };
    for name in ["a b", "a\0b", "a\tb"] {
        let error = Users::new(&catalog).changed(name.as_bytes(), &[], book).expect_err(name);
        assert_eq!(error.to_string(), "Usernames can't contain spaces or null characters");
    }
    let error = Users::new(&catalog).changed(b"a", &[b"~a b"], book).expect_err("a space");
    assert!(error.to_string().ends_with("Syntax error"), "{error}");
}

#[test]
fn a_call_passes_when_one_selector_allows_all_of_it() {
    type Calls = &'static [(&'static str, Result<(), Denial>)];
    const NONE: Result<(), Denial> = Err(Denial::Command);
    const fn key(at: usize) -> Result<(), Denial> {
        Err(Denial::Key(at))
    }
    const fn channel(at: usize) -> Result<(), Denial> {
        Err(Denial::Channel(at))
    }
    const ROWS: &[(&str, Calls)] = &[
        ("", &[("get a", NONE), ("auth x", Ok(())), ("client id", NONE)]),
        ("+get", &[("get a", key(1)), ("set a b", NONE)]),
        ("+get ~a* ~b", &[("get abc", Ok(())), ("get b", Ok(())), ("get ba", key(1))]),
        (
            "+@all %R~r* %W~w*",
            &[
                ("get r", Ok(())),
                ("get w", key(1)),
                ("set w 1", Ok(())),
                ("set r 1", key(1)),
                ("copy r w", Ok(())),
                ("copy w r", key(1)),
                ("copy r r", key(2)),
                ("exists r w", Ok(())),
                ("exists r x", key(2)),
            ],
        ),
        (
            "+@all (+mget ~key) (+mget ~key ~other)",
            &[
                ("mget key other", Ok(())),
                ("mget other some", key(2)),
                ("mget key other some", key(3)),
                ("get key", key(1)),
            ],
        ),
        ("(%R~r +@all) (%W~w +@all)", &[("get r", Ok(())), ("set w 1", Ok(())), ("copy r w", key(2))]),
        ("(+get ~a) (+set ~b)", &[("get a", Ok(())), ("get b", key(1)), ("mget a", NONE)]),
        (
            "+@pubsub &foo* &bar",
            &[
                ("publish foo x", Ok(())),
                ("publish baz x", channel(1)),
                ("subscribe bar food", Ok(())),
                ("subscribe bar baz", channel(2)),
                ("psubscribe foo*", Ok(())),
                ("psubscribe foo1", channel(1)),
                ("punsubscribe nosuch", Ok(())),
            ],
        ),
        ("+get (+publish)", &[("publish a b", channel(1)), ("get k", key(1))]),
        (
            "+client|id +select|0 +select|ab",
            &[
                ("client id", Ok(())),
                ("client kill x", NONE),
                ("select 0", Ok(())),
                ("select AB", Ok(())),
                ("select 1", NONE),
            ],
        ),
        (
            "+@all -config|set allkeys",
            &[("config get x", Ok(())), ("config set a b", NONE), ("get x", Ok(()))],
        ),
    ];
    for (rules, calls) in ROWS {
        let user = user(rules).expect(rules);
        assert!(!user.is_unrestricted(), "{rules}");
        for (call, outcome) in *calls {
            assert_eq!(check(&user, call), *outcome, "{rules}: {call}");
        }
    }
}

#[test]
fn who_may_do_everything_is_known_without_a_check() {
    for (rules, unrestricted) in [
        ("allcommands allkeys allchannels", true),
        ("+@all ~* &*", true),
        ("+get (+@all ~* &*)", true),
        ("+@all ~*", false),
        ("+@all &* %R~*", false),
        ("+@all -get +get ~* &*", false),
        ("(+@all ~*) (+@all &*)", false),
    ] {
        assert_eq!(user(rules).expect(rules).is_unrestricted(), unrestricted, "{rules}");
    }
}

#[test]
fn passwords_open_only_enabled_users() {
    let catalog = catalog();
    let book = Rulebook { catalog: &catalog, all_channels: false };
    let mut users = Users::new(&catalog);
    for (rules, password, opens) in [
        ("on >a >b", "b", true),
        ("on >a >b", "c", false),
        ("on >a", "", false),
        ("on", "", false),
        ("on nopass", "anything", true),
        (">a", "a", false),
        ("off nopass", "a", false),
    ] {
        users.insert(b"bob", users.changed(b"new", &words(rules), book).expect(rules));
        assert_eq!(users.log_in(b"bob", password.as_bytes()).is_some(), opens, "{rules} {password}");
    }
    assert!(users.log_in(b"nobody", b"").is_none());
    assert!(users.default_is_open());
    users.set_default_password(b"x");
    assert!(!users.default_is_open() && users.log_in(DEFAULT_USER, b"x").is_some());
    users.set_default_password(b"");
    assert!(users.default_is_open());
    users.insert(DEFAULT_USER, users.changed(DEFAULT_USER, &[b"off"], book).expect("a rule"));
    assert!(!users.default_is_open());
}

#[test]
fn subscribers_lose_what_the_new_rules_do_not_name() {
    for (old, new, loses) in [
        ("&a", "&a &b", false),
        ("&a &b", "&a", true),
        ("&*", "&*", false),
        ("&*", "&a", true),
        ("&a", "&*", false),
        ("&a", "(&*)", false),
        ("&a (&b)", "&b (&a)", false),
        ("&a*", "&a", true),
    ] {
        let (old, new) = (user(old).unwrap(), user(new).unwrap());
        assert_eq!(old.loses_channels(&new), loses, "{:?}", (old, new));
    }
    let user = user("&a* (&b)").unwrap();
    let admitted = [("abc", false), ("a*", true), ("b", false)];
    admitted.iter().for_each(|&(name, is_pattern)| assert!(user.admits_channel(name.as_bytes(), is_pattern)));
    assert!(!user.admits_channel(b"ab", true) && !user.admits_channel(b"c", false));
}

#[test]
fn a_file_is_taken_whole_or_not_at_all() {
    let catalog = catalog();
    let book = Rulebook { catalog: &catalog, all_channels: false };
    let text = b"user bob on >a  +get\r\n\n\t user cat on  ( +set\t~x ) \t\nuser d on %R~x +get\t";
    let users = Users::load(text, "f.acl", book).expect("a good file");
    let told = String::from_utf8(users.file_text(&catalog)).unwrap();
    assert_eq!(
        told,
        "user bob on #ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb resetchannels -@all +get\n\
         user cat on resetchannels -@all (~x resetchannels -@all +set)\n\
         user d on %R~x resetchannels -@all +get\n\
         user default on nopass ~* &* +@all\n"
    );
    let again = Users::load(told.as_bytes(), "f.acl", book).expect("what was told");
    assert_eq!(again.file_text(&catalog), told.as_bytes());
    let wrong = "user a on\nuser a on\nusr x\nuser\nuser b foo bar +nosuch -zzz\nuser  gus on\nuser c (+nosuch)\n\
                 user x\ty on\n# no comments\nuser d (+get";
    let errors = Users::load(wrong.as_bytes(), "f", book).expect_err("a bad file");
    assert_eq!(
        errors,
        "WARNING: Duplicate user 'a' found on line 2. \
         f:3 should start with user keyword followed by the username. \
         f:4 should start with user keyword followed by the username. \
         f:5: Syntax error. \
         f:5: Error in applying operation '+nosuch': Unknown command or category name in ACL. \
         f:5: Error in applying operation '-zzz': Unknown command or category name in ACL. \
         f:6: Syntax error. \
         f:7: Error in applying operation '(+nosuch)': Unknown command or category name in ACL. \
         'f:8: username 'x\ty' contains invalid characters. \
         f:9 should start with user keyword followed by the username. \
         f:10: Unmatched parenthesis in selector definition.\
         WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
    );
}

#[test]
fn user_lines_of_the_configuration_are_checked_when_they_are_read() {
    let catalog = catalog();
    let book = Rulebook { catalog: &catalog, all_channels: false };
    for (line, outcome) in [
        ("user foo on +get ~a", Ok(())),
        ("user foo +nosuch (+nosuch)", Ok(())),
        ("user foo zzz", Err("Error in user declaration 'user': Syntax error")),
        ("user foo on % zzz", Err("Error in user declaration 'foo': Syntax error")),
        (
            "user foo on (+get",
            Err("Error in user declaration 'foo': Unknown command or category name in ACL"),
        ),
    ] {
        assert_eq!(check_user_line(&words(line), book), outcome.map_err(str::to_string), "{line}");
    }
    let users = Users::new(&catalog);
    for (name, rules, told) in [
        ("foo", "+get", Ok("user foo off resetchannels -@all +get")),
        ("default", "on", Ok("user default on sanitize-payload resetchannels -@all")),
        (
            "foo",
            "+nosuch",
            Err(
                "Error loading ACL rule '+nosuch' for the user named 'foo': Unknown command or category name in ACL",
            ),
        ),
        ("a b", "", Err("Spaces not allowed in ACL usernames")),
    ] {
        let user = users.configured(name.as_bytes(), &words(rules), book);
        let line = user.map(|user| String::from_utf8(user.line(name.as_bytes(), &catalog)).unwrap());
        assert_eq!(line.as_deref().map_err(String::as_str), told, "{name} {rules}");
    }
}
