//! Positional words in OpenBGPD's manner, in any order.

use ipnet::IpNet;

use super::failure::Failure;
use crate::api::query::{PrefixMatch, RibQuery, RibView, parse_prefix};
use crate::api::types::{Action, NetworkRequest};

/// The filter words of `show rib` and `monitor rib`.
///
/// # Errors
/// A usage failure that names the word.
pub(super) fn rib(words: &[String]) -> Result<RibQuery, Failure> {
    let mut query = RibQuery::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| Failure::usage(format!("`{word}` needs a value after it")));
        match word.as_str() {
            "loc" => query.view = RibView::Loc,
            "in" => query.view = RibView::In,
            "out" => query.view = RibView::Out,
            "filtered" => query.view = RibView::Filtered,
            "exact" => query.matching = Some(PrefixMatch::Exact),
            "longer" | "all" => query.matching = Some(PrefixMatch::Longer),
            "shorter" | "or-shorter" => query.matching = Some(PrefixMatch::Shorter),
            "neighbor" => query.neighbor = Some(value()?.clone()),
            "best" | "selected" => query.best = Some(true),
            "not-best" => query.best = Some(false),
            "ecmp" => query.ecmp = true,
            "stale" => query.stale = true,
            "invalid" => query.invalid = true,
            "community" => query.community = Some(parsed(word, value()?)?),
            "large-community" => query.large_community = Some(parsed(word, value()?)?),
            "as" | "transit-as" => query.transit_as = Some(parsed(word, value()?)?),
            "source-as" => query.source_as = Some(parsed(word, value()?)?),
            "peer-as" => query.peer_as = Some(parsed(word, value()?)?),
            "as-path" => query.as_path = Some(value()?.clone()),
            "empty-as" => query.as_path = Some("^$".to_owned()),
            "origin" => query.origin = Some(parsed(word, value()?)?),
            "nexthop" => query.next_hop = Some(parsed(word, value()?)?),
            "detail" => query.detail = true,
            "count" => query.count = true,
            "limit" => query.limit = Some(parsed(word, value()?)?),
            other => prefix(&mut query, other)?,
        }
    }
    match (query.prefix, query.matching) {
        (None, Some(_)) => Err(Failure::usage("`longer` and `shorter` need a prefix")),
        _ => Ok(query),
    }
}

/// An address asks for its most specific prefix unless a word said otherwise.
fn prefix(query: &mut RibQuery, word: &str) -> Result<(), Failure> {
    let prefix: IpNet = parse_prefix(word)
        .map_err(|_| Failure::usage(format!("`{word}` is neither a filter word nor a prefix; see `bgpctl show rib --help`")))?;
    if query.prefix.replace(prefix).is_some() {
        return Err(Failure::usage(format!("`{word}` is the second prefix; give one")));
    }
    if !word.contains('/') && query.matching.is_none() {
        query.matching = Some(PrefixMatch::Longest);
    }
    Ok(())
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(word: &str, value: &str) -> Result<T, Failure> {
    value.parse().map_err(|error| Failure::usage(format!("{word} `{value}`: {error}")))
}

/// What `clear` is to do: the neighbors, and the action.
///
/// # Errors
/// A usage failure that names the word.
pub(super) fn clear(words: &[String]) -> Result<(String, Action), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (peer, rest) = match words.as_slice() {
        ["group", group, rest @ ..] => (format!("group {group}"), rest),
        [peer, rest @ ..] => ((*peer).to_owned(), rest),
        [] => return Err(Failure::usage("name a neighbor, `group G` or `all`")),
    };
    let action = match rest {
        [] | ["soft"] => Action::Refresh,
        ["soft", "in"] | ["in"] => Action::SoftIn,
        ["soft", "out"] | ["out"] => Action::SoftOut,
        ["hard"] => Action::Reset,
        other => return Err(Failure::usage(format!("`{}`: use soft, soft in, soft out or hard", other.join(" ")))),
    };
    Ok((peer, action))
}

/// A network and its attributes.
///
/// # Errors
/// A usage failure that names the word.
pub(super) fn network(prefix: IpNet, words: &[String]) -> Result<NetworkRequest, Failure> {
    let mut request =
        NetworkRequest { prefix, next_hop: None, local_pref: None, med: None, communities: Vec::new(), large_communities: Vec::new() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| Failure::usage(format!("`{word}` needs a value after it")))?;
        match word.as_str() {
            "nexthop" => request.next_hop = Some(parsed(word, value)?),
            "localpref" => request.local_pref = Some(parsed(word, value)?),
            "med" | "metric" => request.med = Some(parsed(word, value)?),
            "community" => request.communities.push(parsed(word, value)?),
            "large-community" => request.large_communities.push(parsed(word, value)?),
            other => {
                return Err(Failure::usage(format!(
                    "`{other}` is no attribute; use nexthop, localpref, med, community or large-community"
                )));
            }
        }
    }
    Ok(request)
}
