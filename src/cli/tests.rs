//! The grammar.

use clap::{CommandFactory, Parser};

use super::args::{Cli, Command, Output, Show};
use super::words;
use crate::api::query::{PrefixMatch, RibQuery, RibView};
use crate::api::types::{Action, Community, LargeCommunity, Origin};

fn split(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn parse(line: &str) -> Cli {
    Cli::try_parse_from(std::iter::once("bgpctl".to_owned()).chain(split(line))).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn the_grammar_is_consistent() {
    Cli::command().debug_assert();
}

/// What fingers know from OpenBGPD.
#[test]
fn spellings_of_openbgpd() {
    assert!(matches!(parse("show").command, Command::Show { what: None }));
    assert!(
        matches!(parse("show neighbor 10.0.0.1").command, Command::Show { what: Some(Show::Neighbors(args)) } if args.words == ["10.0.0.1"])
    );
    assert!(matches!(parse("sh sum").command, Command::Show { what: Some(Show::Summary) }), "unambiguous beginnings will do");
    assert!(matches!(parse("neighbor 10.0.0.1 down text").command, Command::Neighbor { reason, .. } if reason == "text"));
    assert!(matches!(parse("reload").command, Command::Reload { dry_run: false, confirm: None }));
    assert!(matches!(parse("show rib in neighbor tor-a").command, Command::Show { what: Some(Show::Rib { words }) } if words.len() == 3));
}

#[test]
fn options_stand_before_or_after_the_words() {
    for line in [
        "-o json show rib in best",
        "show -o json rib in best",
        "show rib in best -o json",
        "show rib in -o json best",
        "show rib in best -j",
    ] {
        let cli = parse(line);
        assert_eq!(cli.global.output(), Output::Json, "{line}");
        assert!(matches!(cli.command, Command::Show { what: Some(Show::Rib { words }) } if words == ["in", "best"]), "{line}");
    }
}

#[test]
fn rib_words_in_any_order() {
    let query = words::rib(&split(
        "longer limit 5 in 10.0.0.0/8 neighbor tor-a community 64500:1 large-community 1:2:3 as 7 source-as 8 peer-as 9 as-path ^7_ origin egp \
         nexthop 10.0.0.1 best ecmp stale invalid detail",
    ))
    .unwrap();
    let expected = RibQuery {
        view: RibView::In,
        neighbor: Some("tor-a".into()),
        prefix: Some("10.0.0.0/8".parse().unwrap()),
        matching: Some(PrefixMatch::Longer),
        community: Some(Community(64500 << 16 | 1)),
        large_community: Some(LargeCommunity(1, 2, 3)),
        as_path: Some("^7_".into()),
        transit_as: Some(7),
        source_as: Some(8),
        peer_as: Some(9),
        next_hop: Some("10.0.0.1".parse().unwrap()),
        origin: Some(Origin::Egp),
        best: Some(true),
        ecmp: true,
        stale: true,
        invalid: true,
        limit: Some(5),
        detail: true,
        ..RibQuery::default()
    };
    assert_eq!(query, expected);
}

#[test]
fn an_address_asks_for_the_longest_match_and_a_prefix_for_itself() {
    assert_eq!(words::rib(&split("10.0.0.1")).unwrap().matching, Some(PrefixMatch::Longest));
    assert_eq!(words::rib(&split("10.0.0.0/8")).unwrap().matching, None);
    assert_eq!(words::rib(&split("10.0.0.1 shorter")).unwrap().matching, Some(PrefixMatch::Shorter));
    assert_eq!(words::rib(&split("10.1.2.3/8")).unwrap().prefix, Some("10.0.0.0/8".parse().unwrap()), "host bits are cleared");
    assert!(words::rib(&split("10.0.0.1 10.0.0.2")).unwrap_err().to_string().contains("second prefix"));
    assert!(words::rib(&split("community 70000:1")).unwrap_err().to_string().contains("64500:1"));
    assert!(words::rib(&split("limit")).unwrap_err().to_string().contains("needs a value"));
}

#[test]
fn clear_is_soft_unless_told() {
    for (line, peer, action) in [
        ("tor-a", "tor-a", Action::Refresh),
        ("all soft", "all", Action::Refresh),
        ("tor-a soft in", "tor-a", Action::SoftIn),
        ("group nodes soft out", "group nodes", Action::SoftOut),
        ("tor-a hard", "tor-a", Action::Reset),
    ] {
        assert_eq!(words::clear(&split(line)).unwrap(), (peer.to_owned(), action), "{line}");
    }
    assert!(words::clear(&split("tor-a softly")).is_err());
}
