package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/weir-mesh/weir/e2e/browser"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
)

// TestPage operates a real Envoy by its live page, in a browser.
func TestPage(t *testing.T) {
	p := browser.Start(t)
	o := startOperated(t)
	t.Run("document", o.testDocument)

	p.Open(o.admin + "/")
	p.Wait("unavailable cluster", `document.querySelector("#headline").textContent === "1 of 5 clusters is unavailable"`)
	p.Wait("limited cluster", inRow("azure_pricing", ".badge")+`?.textContent === "Limited"`)
	p.Wait("other clusters", inRow(markup, ".badge")+`?.textContent === "OK" && `+inRow("gcp_pricing", ".badge")+`?.textContent === "OK"`)

	// What an operator reads first: which one, why, since when.
	since := o.status("aws_pricing").Breaker.Since
	local := browser.Eval[string](p, fmt.Sprintf(`new Date(%d).toLocaleTimeString("en-GB")`, since.UnixMilli()))
	first := browser.Eval[string](p, `document.querySelector(".cluster .sum").innerText`)
	for _, want := range []string{"Open", "aws_pricing", "The circuit breaker is open since " + local, ", opened by 5 failures in a row; next probe in "} {
		if !strings.Contains(first, want) {
			t.Errorf("the first row says %q, not %q", first, want)
		}
	}
	p.Wait("word of fallbacks", inRow("aws_pricing", ".why")+`.textContent.includes("Fallbacks answer ")`)

	// Names are text.
	if n := browser.Eval[int](p, `document.querySelectorAll("#list img").length`); n != 0 {
		t.Errorf("got %d images made from a cluster's name, want 0", n)
	}

	p.Wait("word of what to do", inRow("aws_pricing", ".hint")+`?.textContent.startsWith("It closes by itself as soon as 3 probes in a row succeed. “Reset” closes it now")`)

	o.testCharts(t, p)
	o.testMouse(t, p)
	o.testKeyboard(t, p)
	o.testRefusal(t, p)
	o.testFilter(t, p)
	o.testLooks(t, p)
	checkConsole(t, p)

	// The policy is in force, and its breach would have been seen above.
	browser.Eval[bool](p, `(document.createElement("img").src = "http://127.0.0.1:1/x", true)`)
	eventually(t, func() error {
		if said := strings.Join(p.Console(), "\n"); !strings.Contains(said, "Content Security Policy") {
			return fmt.Errorf("an image of another origin was not refused; the console says %q", said)
		}
		return nil
	})

	o.Stop()
	p.Wait("word of the lost connection", `!document.querySelector("#lost").hidden && /^Connection lost since \d\d:\d\d:\d\d/.test(document.querySelector("#lost").textContent)`)
	p.Look(browser.Look{Name: "lost", Width: 1280, Height: 900})
}

func (o *operated) testDocument(t *testing.T) {
	got := o.console().page()
	checkPage(t, got)
	if n := len(got.body); n == 0 || n >= 60_000 {
		t.Errorf("got a document of %d bytes, want less than 60,000", n)
	}
	if value := got.header.Get("x-content-type-options"); value != "nosniff" {
		t.Errorf("got x-content-type-options %q, want nosniff", value)
	}
}

// testCharts compares the opened row's numbers with the API's, read before and after.
func (o *operated) testCharts(t *testing.T, p *browser.Page) {
	number := func(cluster, series string) int {
		text := browser.Eval[string](p, fmt.Sprintf(`[...(%s).querySelectorAll(".legend tr")].find(r => r.querySelector(".s-%s")).lastElementChild.textContent`, row(cluster), series))
		n, err := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
		if err != nil {
			t.Fatalf("%s of %s: %v", series, cluster, err)
		}
		return n
	}
	p.Wait("opened row of the worst cluster", inRow("aws_pricing", ".legend"))
	before := o.status("aws_pricing").Requests
	// The page polls once a second: wait until it shows something newer.
	p.Wait("newer numbers", fmt.Sprintf(`+[...(%s).querySelectorAll(".legend tr")].find(r => r.querySelector(".s-circuit_open")).lastElementChild.textContent.replaceAll(",", "") >= %d`,
		row("aws_pricing"), before["circuit_open"]))
	shown := map[string]int{"circuit_open": number("aws_pricing", "circuit_open"), "allowed": number("aws_pricing", "allowed"), "default": number("aws_pricing", "default")}
	after := o.status("aws_pricing").Requests
	if n := shown["circuit_open"]; n > after["circuit_open"] || n < before["circuit_open"] {
		t.Errorf("the page shows %d refused, want it between the API's %d before and %d after", n, before["circuit_open"], after["circuit_open"])
	}
	if shown["allowed"] != before["allowed"] || shown["allowed"] < 5 {
		t.Errorf("the page shows %d allowed, want the API's %d, and 5 or more", shown["allowed"], before["allowed"])
	}
	if shown["default"] == 0 {
		t.Error("got no answers from default data on the page")
	}
	for series, drawn := range map[string]bool{"circuit_open": true, "bulkhead_full": false, "default": true, "cache": false} {
		d := inRow("aws_pricing", ".plot path.s-"+series) + `.getAttribute("d")`
		if drawn {
			p.Wait("drawing of "+series, `(`+d+`?.match(/M/g) || []).length >= 2`)
		} else if got := browser.Eval[string](p, `(`+d+` || "")`); got != "" {
			t.Errorf("%s is drawn: got %s, want nothing", series, got)
		}
	}
	p.Wait("drawing in the list", `(`+inRow("gcp_pricing", ".spark .s-allowed")+`.getAttribute("d")?.match(/M/g) || []).length >= 2`)
	// A column is read by the keyboard.
	browser.Eval[bool](p, `(`+inRow("aws_pricing", ".plot")+`.focus(), true)`)
	p.Type(kb.ArrowLeft)
	p.Wait("reading of one column", inRow("aws_pricing", ".plot")+`.getAttribute("aria-valuetext").match(/^5 s from \d\d:\d\d:\d\d: .*circuit open/)`)
	p.Type(kb.Escape)
}

// act is a selector for a button of the one opened row.
func act(what string) string { return `.openrow [data-act="` + what + `"]` }

func (o *operated) forced(want string) {
	o.t.Helper()
	eventually(o.t, func() error {
		if got := o.status("aws_pricing").Breaker.Forced; got != want {
			return fmt.Errorf("the breaker is forced %s, want %s", got, want)
		}
		return nil
	})
}

func (o *operated) testMouse(t *testing.T, p *browser.Page) {
	const open, closed = `document.querySelector("#ask").open`, `!document.querySelector("#ask").open`
	p.Click(act("close"))
	p.Wait("question", open)
	if title := browser.Eval[string](p, `document.querySelector("#ask-title").textContent`); title != "Force aws_pricing closed?" {
		t.Errorf("got the question %q", title)
	}
	p.Look(browser.Look{Name: "question", Width: 1280, Height: 900})
	p.Click("#ask-no")
	p.Wait("end of the question", closed)
	if got := o.status("aws_pricing").Breaker.Forced; got != "auto" {
		t.Errorf("cancelled: got forced %s, want auto", got)
	}

	for _, c := range []struct{ what, forced, says string }{
		{"close", "closed", "Forced closed at "}, {"open", "open", "Forced open at "}, {"auto", "auto", "Automatic again at "},
	} {
		p.Click(act(c.what))
		p.Wait("question", open)
		p.Click("#ask-yes")
		p.Wait("end of the question", closed)
		o.forced(c.forced)
		p.Wait("word of what was done", `document.querySelector(".openrow .said").textContent.startsWith("`+c.says+`")`)
		p.Wait("the pressed button", `document.querySelector('`+act(c.what)+`').getAttribute("aria-pressed") === "true"`)
		if c.what == "open" {
			p.Wait("reason", inRow("aws_pricing", ".why")+`.textContent.includes("operator forced the circuit breaker open; it is open since ")`)
		}
	}
}

func (o *operated) testKeyboard(t *testing.T, p *browser.Page) {
	// From the filter on, Tab comes to the button, and wherever it is, one sees it.
	browser.Eval[bool](p, `(document.querySelector("#filter").focus(), true)`)
	at := `document.activeElement`
	for tabs := 0; !browser.Eval[bool](p, at+`.matches('`+act("reset")+`')`); tabs++ {
		if tabs > 40 {
			t.Fatal("after 40 times Tab the focus is not on the button")
		}
		p.Type(kb.Tab)
		if where := browser.Eval[string](p, `(() => { const e = `+at+`; return ["", "::after"].some(s => getComputedStyle(e, s).outlineStyle === "solid") ? "" : e.outerHTML })()`); where != "" {
			t.Errorf("the focus is not visible on %s", where)
		}
	}
	p.Type(kb.Enter)
	p.Wait("question", `document.querySelector("#ask").open && `+at+`.id === "ask-no"`)
	p.Type(kb.Escape)
	p.Wait("end of the question, the focus where it was", `!document.querySelector("#ask").open && `+at+`.matches('`+act("reset")+`')`)

	o.aws.Set(upstream.OK()) // so that it stays closed
	p.Type(kb.Enter)
	p.Wait("question", `document.querySelector("#ask").open`)
	p.Type(kb.Tab)
	p.Wait("the focus on the other button", at+`.id === "ask-yes"`)
	p.Type(kb.Enter)
	p.Wait("end of the question", `!document.querySelector("#ask").open`)
	eventually(t, func() error {
		if b := o.status("aws_pricing").Breaker; b.State != "closed" || b.Opens != 0 {
			return fmt.Errorf("after a reset: got %+v, want closed, and 0 opens", b)
		}
		return nil
	})
	p.Wait("word of it", `document.querySelector(".openrow .said").textContent.startsWith("Reset at ")`)
	p.Wait("recovering cluster", inRow("aws_pricing", ".badge")+`.textContent !== "Open" && document.querySelector("#headline").textContent.startsWith("Some requests to ")`)
	p.Wait("entry in the log", `document.querySelector("#log").textContent.includes("aws_pricing Reset from this page.")`)
	if !browser.Eval[bool](p, at+`.matches('`+act("reset")+`')`) {
		t.Error("the row moved in the list, and the focus was lost")
	}
	o.aws.Set(upstream.Status(500))
	p.Wait("unavailable cluster", inRow("aws_pricing", ".badge")+`.textContent === "Open"`)
}

// testRefusal: the page shows the API's own text of a refusal.
func (o *operated) testRefusal(t *testing.T, p *browser.Page) {
	p.Click(act("invalidate"))
	p.Wait("question with a field", `document.querySelector("#ask").open && !document.querySelector("#ask-path").hidden`)
	p.Click("#ask-path input")
	p.Type("prices" + kb.Enter) // no slash in front
	p.Wait("the API's words", `document.querySelector("#ask-wrong").textContent.endsWith("(status 400)") && document.querySelector("#ask").open`)
	if text := browser.Eval[string](p, `document.querySelector("#ask-wrong").textContent`); !strings.Contains(text, "path") {
		t.Errorf("got the error %q, want it to name the path", text)
	}
	browser.Eval[bool](p, `(document.querySelector("#ask-path input").value = "", true)`)
	p.Click("#ask-path input")
	p.Type("/prices?region=eu" + kb.Enter)
	p.Wait("end of the question", `!document.querySelector("#ask").open`)
	p.Wait("word of it", `document.querySelector(".openrow .said").textContent.startsWith("Cache invalidated at ")`)
	// The browser reports the status 400, and nothing else.
	for _, said := range p.Console() {
		if !strings.Contains(said, "status of 400") {
			t.Errorf("got on the console %s, want the status 400 alone", said)
		}
	}
}

func (o *operated) testFilter(t *testing.T, p *browser.Page) {
	shown := `[...document.querySelectorAll(".cluster")].filter(c => !c.hidden).map(c => c.querySelector("h3 button").textContent)`
	check := func(what string, want ...string) {
		t.Helper()
		got := browser.Eval[[]string](p, shown)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q are shown, want %q", what, got, want)
		}
	}
	p.Click("#filter")
	p.Type("PRICING g")
	check("by name", "aws_pricing", "azure_pricing", "gcp_pricing")
	p.Type("cp")
	check("by more of a name", "gcp_pricing")
	p.Type("x")
	check("by no name")
	p.Wait("word of it", `!document.querySelector("#empty").hidden`)
	filtered(p, "")
	p.Click("#chip0")
	check("only the unavailable", "aws_pricing")
	p.Click("#chip0")
	check("all", "aws_pricing", "azure_pricing", "gcp_pricing", "catalog", markup)
}

func (o *operated) testLooks(t *testing.T, p *browser.Page) {
	background := `getComputedStyle(document.documentElement).backgroundColor`
	seen := map[string]bool{}
	for _, look := range []browser.Look{
		{Name: "light", Width: 1280, Height: 1100},
		{Name: "dark", Width: 1280, Height: 1100, Dark: true},
		{Name: "tablet", Width: 768, Height: 1024},
		{Name: "phone", Width: 360, Height: 740, Phone: true},
		{Name: "phone-dark", Width: 360, Height: 740, Phone: true, Dark: true, Still: true},
	} {
		browser.Eval[bool](p, `(scrollTo(0, 0), document.activeElement.blur(), true)`)
		p.Look(look)
		if wide := browser.Eval[int64](p, `document.documentElement.scrollWidth`); wide > look.Width {
			t.Errorf("%s: got a page %d pixels wide, want no more than the screen", look.Name, wide)
		}
		if low := browser.Eval[float64](p, `document.querySelector('`+act("reset")+`').getBoundingClientRect().bottom`); low > float64(look.Height) {
			t.Errorf("%s: the buttons end at %v pixels, below the screen", look.Name, low)
		}
		seen[fmt.Sprint(look.Dark)+browser.Eval[string](p, background)] = true
		if still := browser.Eval[bool](p, `(() => { const c = document.querySelector(".cluster"); c.classList.add("changed"); const a = c.querySelector(".sum").getAnimations().length; c.classList.remove("changed"); return a === 0 })()`); still != look.Still {
			t.Errorf("%s: without motion %t, want %t", look.Name, still, look.Still)
		}
	}
	if len(seen) != 2 {
		t.Errorf("got backgrounds %v, want a light and a dark one", seen)
	}
	browser.Eval[bool](p, `(scrollTo(0, 0), true)`)
	filtered(p, "pricing")
	p.Look(browser.Look{Name: "readme", Width: 1280, Height: 860}) // docs/page.png
	filtered(p, "")
	p.As(browser.Look{Width: 1280, Height: 900})
}

// filtered writes a text into the filter by name.
func filtered(p *browser.Page, text string) {
	browser.Eval[bool](p, fmt.Sprintf(`(() => { const f = document.querySelector("#filter"); f.value = %q; f.dispatchEvent(new Event("input")); f.blur(); return true })()`, text))
}

// TestPageBehindPrefix: the page works where a proxy puts it under a path, says when that proxy is gone, and is there
// again with it.
func TestPageBehindPrefix(t *testing.T) {
	p := browser.Start(t)
	o := startOperated(t)
	target, err := url.Parse(o.admin)
	if err != nil {
		t.Fatal(err)
	}
	handler := http.StripPrefix("/mesh/weir", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // what the browser calls its origin
	}})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port.Reserve(t)))
	var server *http.Server
	up := func() {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server = &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		go func(s *http.Server) { _ = s.Serve(listener) }(server) // ends with ErrServerClosed
	}
	up()
	t.Cleanup(func() { _ = server.Close() })
	p.Open("http://" + address + "/mesh/weir/")
	p.Wait("unavailable cluster", `document.querySelector("#headline").textContent === "1 of 5 clusters is unavailable"`)
	checkConsole(t, p)

	_ = server.Close()
	p.Wait("word of the lost connection", `document.querySelector("#lost").innerText.startsWith("Connection lost since ") && document.title.startsWith("No connection")`)
	up()
	p.Wait("end of it", `document.querySelector("#lost").hidden && document.querySelector("#log").textContent.includes("The connection is back after ") && document.title.startsWith("(1) ")`)

	p.Click(act("close"))
	p.Click("#ask-yes")
	o.forced("closed")
}
