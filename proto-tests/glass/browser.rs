//! The page in a browser, as people use it.

use std::net::SocketAddr;

use kubgp::api::types::Neighbor;
use serde_json::{Value, json};

use crate::backend::Memo;
use crate::chromium::Browser;
use crate::http::local;
use crate::setup::{Net, eventually};

const GLASS: u8 = 1;
const UP: u8 = 2;
const DOWN: u8 = 3;

const VIEWS: [&str; 6] = ["#/", "#/neighbors", "#/lookup/10.1.0.0%2F24", "#/services", "#/services/shop%2Fweb", "#/kernel"];

/// A backend in memory behind a runtime of its own, since the browser is driven by a thread that waits.
fn in_memory(memo: Memo) -> (tokio::runtime::Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let at = runtime.block_on(local(memo));
    (runtime, at)
}

fn nothing_is_wrong(browser: &mut Browser, at: &str) {
    // One more answer, so that everything before it has been heard.
    browser.eval("1");
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
    let others: Vec<_> = browser.requests.iter().filter(|url| !url.starts_with(&format!("http://{at}/"))).collect();
    assert!(others.is_empty(), "requests to others: {others:?}");
}

/// The cells of a neighbor's row, by the text of its link.
fn row(browser: &mut Browser, address: &str) -> String {
    let find = format!("[...document.querySelectorAll('table.grid tbody tr')].find((r) => r.dataset.id === '{address}')");
    browser.text(&format!("{find}?.innerText.replace(/\\s+/g, ' ') ?? ''"))
}

#[test]
fn sessions_and_routes_of_real_daemons_live() {
    let Some(mut browser) = Browser::start("sessions_and_routes_of_real_daemons_live") else { return };
    let net = Net::new(213);
    let mark = "<img src=x onerror=alert(1)>";
    let neighbors = net.neighbor("up", GLASS, UP, &format!("asn: internal, description: \"{mark}\", gracefulRestart: {{ mode: off }}"))
        + &net.neighbor("gone", GLASS, DOWN, "asn: 65001");
    let config = net.config(GLASS, 64512, &neighbors, &Net::originate("{ prefix: 203.0.113.0/24, nextHop: 10.9.9.9 }"));
    let glass = net.start(GLASS, &config);
    let other = net.config(
        UP,
        64512,
        &net.neighbor("glass", UP, GLASS, "asn: internal"),
        &Net::originate("{ prefix: 198.51.100.0/24, nextHop: 10.8.8.8 }"),
    );
    let other = net.start(UP, &other);
    glass.established("up");
    let (at, up, gone) = (glass.http.clone(), net.ip(UP), net.ip(DOWN));

    browser.open(&format!("http://{at}/"));
    browser.until("document.querySelector('.stats')?.innerText.includes('1 / 2')");
    browser.until(&format!("document.querySelector('.map')?.innerText.includes('{up}')"));
    browser.until("document.querySelector('.events')?.innerText.includes('session established')");
    assert!(browser.text("location.pathname") == "/lg/", "the root leads to the page");

    // What is drawn anew takes the focus from nobody.
    browser.eval("document.querySelector('.down a').focus(); window.then = document.querySelector('.down .for').innerText");
    browser.until("document.querySelector('.down .for').innerText !== window.then");
    assert_eq!(browser.text("document.activeElement.closest('.down')?.querySelector('a').innerText"), "gone");

    browser.eval("document.querySelector('nav a[href=\"#/neighbors\"]').click()");
    browser.until("document.querySelectorAll('table.grid tbody tr').length === 2");
    assert!(row(&mut browser, &up).contains("up iBGP 64512 Established"), "{}", row(&mut browser, &up));
    assert!(row(&mut browser, &gone).contains("gone eBGP 65001"), "{}", row(&mut browser, &gone));

    details_and_lookup(&mut browser, &up);

    // Live: nobody touches the page.
    browser.eval("location.hash = '#/neighbors'");
    browser.until("document.querySelectorAll('table.grid tbody tr').length === 2");
    drop(other);
    browser.until(&format!("!document.querySelector('tr[data-id=\"{up}\"]').innerText.includes('Established')"));
    browser.eval(&format!("location.hash = '#/neighbors/{gone}'"));
    browser.until("document.querySelector('.trace .block')?.innerText.includes('connection refused')");
    browser.eval("location.hash = '#/neighbors'");
    browser.until("document.querySelectorAll('table.grid tbody tr').length === 2");
    assert!(browser.text(&format!("document.querySelector('tr[data-id=\"{up}\"]').className")).contains("bad"));
    assert_eq!(browser.text("document.getElementById('news').innerText"), "up is down", "a screen reader says it");
    nothing_is_wrong(&mut browser, &at);

    // The daemon goes, and comes back.
    drop(glass);
    browser.until("document.getElementById('alarm').innerText.includes('does not answer')");
    assert!(browser.text("document.getElementById('live').innerText").contains("Disconnected"));
    assert!(row(&mut browser, &up).contains("up iBGP 64512"), "what is known stays");
    let again = net.start(GLASS, &config);
    browser.until("document.getElementById('alarm').innerText === ''");
    browser.until("document.getElementById('live').innerText.includes('Live')");
    eventually("it is the new one that answers", || again.get("/livez"));
}

/// One neighbor, its routes, and a prefix that it sent.
fn details_and_lookup(browser: &mut Browser, up: &str) {
    // What a neighbor or the file says is text.
    browser.eval(&format!("location.hash = '#/neighbors/{up}'"));
    browser.until("document.querySelector('.headline')?.innerText.includes('<img src=x')");
    browser.until("document.querySelector('.events')?.innerText.includes('OpenConfirm → Established')");
    browser.eval("document.getElementById('tab-in').click()");
    browser.until("document.querySelector('#routes-panel table')?.innerText.includes('198.51.100.0/24')");
    browser.eval("document.getElementById('tab-out').click()");
    browser.until("document.querySelector('#routes-panel table')?.innerText.includes('203.0.113.0/24')");
    assert_eq!(browser.eval("document.querySelectorAll('main img').length"), 0);

    browser.eval("location.hash = '#/lookup'");
    browser.until("document.activeElement?.id === 'prefix'");
    browser.type_text("198.51.100.9");
    browser.press("Enter");
    browser.until("document.querySelector('.steps')?.innerText.includes('from 127.61.213.2 (up)')");
    browser.until("document.querySelector('h2.prefix')?.innerText === '198.51.100.0/24'");
    browser.until("document.querySelector('main .events')?.innerText.includes('best from up')");
    assert!(browser.text("document.querySelector('main').innerText").contains("best: only path"));
}

/// As many neighbors as a reflector has.
fn many(count: usize) -> Memo {
    let mut memo = Memo::default();
    let model = serde_json::to_value(&memo.neighbors[0]).unwrap();
    let row = |number: usize| -> Neighbor {
        let mut row = model.clone();
        row["name"] = json!(format!("node-{number:04}"));
        row["address"] = json!(format!("10.20.{}.{}", number / 250, number % 250 + 1));
        row["state"] = json!(if number % 100 == 7 { "active" } else { "established" });
        serde_json::from_value(row).unwrap()
    };
    memo.neighbors = (0..count).map(row).collect();
    memo
}

#[test]
fn two_thousand_neighbors_stay_quick_and_readable() {
    let Some(mut browser) = Browser::start("two_thousand_neighbors_stay_quick_and_readable") else { return };
    let (_runtime, at) = in_memory(many(2000));
    browser.open(&format!("http://{at}/lg/#/neighbors"));
    browser.until("document.querySelector('table.grid')?.getAttribute('aria-rowcount') === '2001'");
    let drawn = browser.eval("document.querySelectorAll('table.grid tbody tr[data-id]').length").as_u64().unwrap();
    assert!((20..200).contains(&drawn), "{drawn} rows are drawn");
    let names = |browser: &mut Browser| {
        browser.text("[...document.querySelectorAll('tr[data-id] td.c-name')].slice(0, 3).map((c) => c.innerText).join()")
    };
    assert_eq!(names(&mut browser), "node-0007,node-0107,node-0207", "problems first");

    // Sorted with the keyboard: from the filter over the chips to the first heads.
    browser.eval("document.querySelector('table.grid th button').focus()");
    browser.press("Tab");
    assert_eq!(browser.text("document.activeElement.innerText"), "Name");
    browser.press("Enter");
    assert_eq!(browser.text("document.activeElement.closest('th').getAttribute('aria-sort')"), "ascending");
    assert_eq!(names(&mut browser), "node-0000,node-0001,node-0002");
    browser.press("Enter");
    assert_eq!(browser.text("document.activeElement.closest('th').getAttribute('aria-sort')"), "descending");
    assert_eq!(names(&mut browser), "node-1999,node-1998,node-1997");

    // Rows: one stop for Tab, then the arrows; far ones are drawn when the focus comes there.
    browser.eval("[...document.querySelectorAll('table.grid th button')].at(-1).focus()");
    browser.press("Tab");
    assert_eq!(browser.text("document.activeElement.closest('tr').innerText.split('\\t')[1]"), "node-1999");
    browser.press("ArrowDown");
    assert_eq!(browser.text("document.activeElement.closest('tr').innerText.split('\\t')[1]"), "node-1998");
    browser.press("End");
    browser.until("document.activeElement.closest('tr')?.innerText.includes('node-0000')");
    let inside = "(() => { const b = document.activeElement.getBoundingClientRect(); return b.top >= 0 && b.bottom <= innerHeight; })()";
    assert_eq!(browser.eval(inside), true, "the row that has the focus is seen");
    assert_eq!(browser.text("document.activeElement.closest('tr').getAttribute('aria-rowindex')"), "2001");
    browser.press("Enter");
    browser.until("document.querySelector('h1')?.innerText.includes('node-0000')");
    assert_eq!(browser.text("document.activeElement.tagName"), "H1", "the focus is at the top of the new view");

    browser.eval("location.hash = '#/neighbors?q=node-12&show=bad'");
    browser.until("document.querySelector('.found')?.innerText === '1 of 2,000 neighbors'");
    assert_eq!(names(&mut browser), "node-1207", "the address of the page says what is shown");
    browser.eval("document.querySelector('.chips button').click()");
    browser.until("document.querySelector('.found')?.innerText === '100 of 2,000 neighbors'");

    // The map: one cell each, and signs on what is wrong.
    browser.eval("location.hash = '#/'");
    browser.until("document.querySelectorAll('.map.dense a').length === 2000");
    assert_eq!(browser.eval("document.querySelectorAll('.map a.bad .glyph').length"), 20);
    browser.eval("document.querySelector('.map a').focus()");
    browser.press("ArrowRight");
    assert_eq!(browser.text("document.activeElement.getAttribute('aria-label')"), "node-0001, Established");
    let slow = "(async () => { const t = performance.now(); location.hash = '#/neighbors'; \
                while (!document.querySelector('table.grid tbody tr[data-id]')) await new Promise(requestAnimationFrame); return performance.now() - t; })()";
    let took = browser.eval(slow).as_f64().unwrap();
    assert!(took < 3000.0, "the list takes {took} ms");
    nothing_is_wrong(&mut browser, &at.to_string());
}

#[test]
fn every_view_fits_everybody() {
    let Some(mut browser) = Browser::start("every_view_fits_everybody") else { return };
    let (_runtime, at) = in_memory(Memo::default());
    browser.open(&format!("http://{at}/lg/"));
    browser.until("document.querySelector('.stats li')");

    // The first stop of the keyboard leads over the navigation to the content.
    browser.press("Tab");
    assert_eq!(browser.text("document.activeElement.innerText"), "Skip to content");
    browser.press("Enter");
    browser.until("document.activeElement.id === 'main'");

    for view in VIEWS.into_iter().chain(["#/neighbors/tor-b"]) {
        browser.eval(&format!("location.hash = '{view}'"));
        browser.until("document.querySelector('main h1') && !document.querySelector('main [aria-busy], main .busy')");
        for width in [360, 768, 1280] {
            browser.size(width, 800);
            let wide = browser.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(wide, 0, "{view} at {width}");
        }
        assert_eq!(unnamed(&mut browser), Vec::<String>::new(), "{view}");
        for scheme in ["light", "dark"] {
            browser.prefer("prefers-color-scheme", scheme);
            assert_eq!(pale(&mut browser), Vec::<String>::new(), "{view} in {scheme}");
        }
        let levels = browser.text("[...document.querySelectorAll('main h1, main h2, main h3')].map((h) => h.tagName[1]).join('')");
        assert!(levels.starts_with('1') && !levels[1..].contains('1'), "{view}: {levels}");
    }
    let back = "getComputedStyle(document.body).backgroundColor";
    browser.prefer("prefers-color-scheme", "light");
    let light = browser.text(back);
    browser.prefer("prefers-color-scheme", "dark");
    assert_ne!(light, browser.text(back));
    browser.prefer("prefers-reduced-motion", "reduce");
    let moving = browser.eval("document.getAnimations().length");
    assert_eq!(moving, 0, "nothing moves for those who do not want it");

    // Under its policy the page makes no element of a text.
    let refused = browser.text("(() => { try { document.body.innerHTML = '<b>'; return ''; } catch (e) { return e.name; } })()");
    assert_eq!(refused, "TypeError");
    browser.complaints.retain(|complaint| !complaint.contains("TrustedHTML"));
    nothing_is_wrong(&mut browser, &at.to_string());
    let strange = browser.eval("fetch('https://203.0.113.1/').then(() => 'sent', (e) => e.name)");
    assert_eq!(strange, "TypeError");
    assert!(browser.complaints.iter().any(|complaint| complaint.contains("Content Security Policy")), "{:?}", browser.complaints);
}

/// What a screen reader would call by its role alone.
fn unnamed(browser: &mut Browser) -> Vec<String> {
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let needs = ["button", "link", "textbox", "searchbox", "table", "tab", "region", "navigation", "columnheader", "combobox"];
    let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false);
    let nameless = |node: &&Value| {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        needs.contains(&role) && node["name"]["value"].as_str().unwrap_or_default().trim().is_empty()
    };
    // A column of signs may have no title.
    nodes.filter(nameless).filter(|node| node["role"]["value"] != "columnheader").map(Value::to_string).collect()
}

/// Texts whose contrast with what is behind them is below 4.5 (WCAG 2.1 AA).
fn pale(browser: &mut Browser) -> Vec<String> {
    let found = browser.eval(
        r"(() => {
        const parse = (c) => (c.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
        const shine = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
        const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0.9) return c; } return [255, 255, 255]; };
        const pale = new Set();
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
            const element = walker.currentNode.parentElement;
            if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest('noscript, .quiet, .skip')) continue;
            const [a, b] = [shine(parse(getComputedStyle(element).color)), shine(behind(element))];
            const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (contrast < 4.5) pale.add(`${element.tagName}.${element.className}: ${contrast.toFixed(2)} ${walker.currentNode.data.trim().slice(0, 30)}`);
        }
        return [...pale];
    })()",
    );
    found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
