// Package browser is a headless Chromium for a test: one page, all that it said on its console, and pictures of it.
//
//	p := browser.Start(t)
//	p.Open("http://127.0.0.1:9902/")
//	p.Wait("the headline", `document.querySelector("h1").innerText.includes("refused")`)
//	p.Click("#filter")
//	p.Look(browser.Look{Name: "phone", Width: 360, Height: 740, Phone: true})
//
// The browser is E2E_CHROMIUM, else a chromium or a chrome on PATH. Without one a test fails where CI=true, and says
// that it is skipped elsewhere. The pictures are written into the folder E2E_SCREENSHOTS, else into the test's own (go
// test -artifacts).
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// deadline is how long Wait waits: far longer than anything takes on a busy machine.
const deadline = 30 * time.Second

// Page is the one page of a browser. Its methods fail the test when something is wrong.
type Page struct {
	t   testing.TB
	ctx context.Context

	mu   sync.Mutex
	said []string
}

// find returns the browser's path, "" where there is none.
func find() string {
	if path := os.Getenv("E2E_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Start starts a browser. It ends with t.
func Start(t testing.TB) *Page {
	t.Helper()
	path := find()
	if path == "" {
		const missing = "no Chromium on PATH and no E2E_CHROMIUM; on Debian: apt-get install chromium"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip("SKIPPED, the live page is not looked at: " + missing)
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.Headless, chromedp.NoFirstRun, chromedp.DisableGPU}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox does not start as root; it sees our own page only
	}
	// Not t.Context, which ends before the cleanup: the browser would be cut off rather than closed.
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Minute)
	ctx, stopAllocator := chromedp.NewExecAllocator(ctx, options...)
	ctx, stopPage := chromedp.NewContext(ctx)
	p := &Page{t: t, ctx: ctx}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("Chromium did not close in order: %v", err)
		}
		stopPage()
		stopAllocator()
		stop()
	})
	// The first call starts the browser, which lives no longer than the context of that call.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil {
		t.Fatalf("browser: start %s: %v", path, err)
	}
	messages := chromedp.Console(ctx)
	go func() { // ends with the page
		for m, err := range messages {
			if err != nil {
				return
			}
			p.mu.Lock()
			p.said = append(p.said, fmt.Sprintf("%s: %s (%s)", m.Type, m.Text, m.URL))
			p.mu.Unlock()
		}
	}()
	return p
}

func (p *Page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, stop := context.WithTimeout(p.ctx, deadline)
	defer stop()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("browser: %s: %v", what, err)
	}
}

// Open goes to an address and returns when the document is loaded.
func (p *Page) Open(url string) {
	p.t.Helper()
	p.do("open "+url, chromedp.Navigate(url))
}

// Click presses the left button of the mouse in the middle of the one element that a CSS selector finds, as soon as it
// is visible.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Type types text, or keys of chromedp/kb, into what has the focus.
func (p *Page) Type(keys string) {
	p.t.Helper()
	p.do("type", chromedp.KeyEvent(keys))
}

// Timezone makes the page's time that of a zone of the IANA database.
func (p *Page) Timezone(name string) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: name}); err != nil {
		p.t.Fatalf("browser: %v", err)
	}
}

// Console returns what was written to the console since the last call: the page's own lines, exceptions, and the
// browser's about failed requests and breaches of the Content-Security-Policy.
func (p *Page) Console() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := p.said
	p.said = nil
	return said
}

// Eval returns the value of a JavaScript expression, through JSON.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	ctx, stop := context.WithTimeout(p.ctx, deadline)
	defer stop()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("browser: %s: %v", expression, err)
	}
	return value
}

// Wait waits until a JavaScript expression is true, and fails with the page's text when it still is not after 30 s.
func (p *Page) Wait(what, expression string) {
	p.t.Helper()
	for end := time.Now().Add(deadline); !Eval[bool](p, "!!("+expression+")"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("browser: no %s within %v; the page says:\n%s", what, deadline, Eval[string](p, "document.body.innerText"))
		}
	}
}

// Look is how a page is looked at.
type Look struct {
	Name          string // of the picture
	Width, Height int64  // in CSS pixels
	Dark          bool   // prefers-color-scheme
	Phone         bool   // a touch screen, with a phone's viewport
	Still         bool   // prefers-reduced-motion
}

// As makes the page look so from now on.
func (p *Page) As(l Look) {
	p.t.Helper()
	options := []chromedp.EmulateViewportOption{chromedp.EmulateScale(1.5)}
	if l.Phone {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	p.do("viewport", chromedp.EmulateViewport(l.Width, l.Height, options...))
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}, {Name: "prefers-reduced-motion", Value: "no-preference"}}
	if l.Dark {
		features[0].Value = "dark"
	}
	if l.Still {
		features[1].Value = "reduce"
	}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		p.t.Fatalf("browser: %v", err)
	}
}

// Look makes the page look so and keeps a picture of what is in sight.
func (p *Page) Look(l Look) {
	p.t.Helper()
	p.As(l)
	ctx, stop := context.WithTimeout(p.ctx, deadline)
	defer stop()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatalf("browser: picture %s: %v", l.Name, err)
	}
	dir := os.Getenv("E2E_SCREENSHOTS")
	if dir == "" {
		dir = p.t.ArtifactDir()
	}
	path := filepath.Join(dir, l.Name+".png")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("picture: %s", path)
}
