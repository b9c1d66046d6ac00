package instructions

import (
	"fmt"
	"html"
	"io"
	"strconv"
	"strings"
)

// Bar is one row of a plot.
type Bar struct {
	Name  string
	Value int
}

// Sizes of a plot, in pixels.
const (
	names, scale, values = 300, 420, 80 // widths: names, bars, and room for the longest bar's number
	line, top            = 26, 44
)

// Plot draws horizontal bars as an SVG picture, light or dark as the reader's browser is.
func Plot(w io.Writer, title string, bars []Bar) error {
	most := 1
	for _, bar := range bars {
		most = max(most, bar.Value)
	}
	width, height := names+scale+values, top+line*len(bars)+8
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="sans-serif" font-size="13">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(title))
	b.WriteString(`<style>rect.page{fill:#fff}text{fill:#222}rect.bar{fill:#8ea0b5}rect.weir{fill:#2b6cb0}` +
		`@media(prefers-color-scheme:dark){rect.page{fill:#161b22}text{fill:#ddd}rect.bar{fill:#66758a}rect.weir{fill:#5aa2e8}}</style>` + "\n")
	fmt.Fprintf(&b, `<rect class="page" width="%d" height="%d"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="10" y="24" font-weight="bold">%s</text>`+"\n", html.EscapeString(title))
	for i, bar := range bars {
		y, long, class := top+line*i, max(scale*bar.Value/most, 1), "bar"
		if strings.HasPrefix(bar.Name, "Weir") {
			class = "weir"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, names-8, y+15, html.EscapeString(bar.Name))
		fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%d" height="%d"/>`, class, names, y+2, long, line-8)
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", names+long+6, y+15, thousands(bar.Value))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// thousands is 1234567 as 1,234,567.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
