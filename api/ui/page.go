package ui

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// page is a page at the path [Path] + name. Its template is templates/name.html ("overview" for the name ""), and its
// title is the text "name.title".
type page struct {
	name   string
	hidden bool // it is not in the navigation
	// live is the interval in which a page that somebody looks at is loaded again; 0 for never.
	live time.Duration
	// load returns what the template shows as .Data.
	load func(*request) (any, error)
	// actions are the changes that forms of the page make, by the value of their field "action".
	actions map[string]action
	// serve answers GET instead of load and the template, for downloads. It returns an error only before it has written.
	serve func(*request) error
}

// template returns the name of the template, which is the prefix of the keys of its texts as well.
func (p page) template() string {
	if p.name == "" {
		return "overview"
	}
	return p.name
}

// action makes a change. Its request has a parsed form, unless its body is no form or has several parts: then the action is named in
// the query, and the action reads the body.
type action func(*request) (outcome, error)

// outcome is what an action leads to: another page, or a template that is shown at once, such as a plan to confirm.
type outcome struct {
	to string // address relative to the console; "" for the page itself
	// notice is the last part of the key of a text "notice.*.one" and ".other" for count, shown on the next page; "" for none.
	notice string
	count  int
	show   string // template instead of a redirect
	sent   bool   // the action has sent the answer
	data   any
}

// request is a request for a page.
type request struct {
	*http.Request
	w     http.ResponseWriter
	admin *admin.Client
	user  user
	opts  *Options
	look  *look
	page  page
}

// view is what the layout of a page shows.
type view struct {
	Page     string // name of the template
	Nav      []navItem
	Assets   string
	Language string
	Theme    string
	User     user
	Mode     admin.Mode
	Notice   string
	Back     string // address of this page relative to the console
	Live     int64  // milliseconds; 0 for never
	Now      time.Time
	ID       string // of the request
	Error    *failure
	Data     any
}

type navItem struct {
	Name, Title string
	Current     bool
}

// maxForm is the maximum size of a form in bytes, without files: that of tens of thousands of chosen images.
const maxForm = 4 << 20

func (h *Handler) servePage(w http.ResponseWriter, r *http.Request, name string) {
	p, known := h.pages[name]
	req := &request{
		Request: r, w: w, admin: h.admin, user: userOf(admin.AccessOf(r.Context())), opts: &h.opts, look: h.looks[languageOf(r)](), page: p,
	}
	if !known {
		h.fail(req, mirror.Errorf(mirror.CodeNameUnknown, "the console has no page %q", name))
		return
	}
	var err error
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		err = h.get(req)
	case http.MethodPost:
		err = h.post(req)
	default:
		err = mirror.Errorf(mirror.CodeUnsupported, "the console does not support %s", r.Method)
	}
	if err != nil {
		h.fail(req, err)
	}
}

func (h *Handler) get(r *request) error {
	if r.page.serve != nil {
		return r.page.serve(r)
	}
	data, err := r.page.load(r)
	if err != nil {
		return err
	}
	h.render(r, http.StatusOK, r.page.template(), data, nil)
	return nil
}

func (h *Handler) post(r *request) error {
	if err := h.cross.Check(r.Request); err != nil {
		return mirror.Errorf(mirror.CodeDenied, "a page of another site may not change anything on this mirror: %w", err)
	}
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		r.Body = http.MaxBytesReader(r.w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return mirror.Errorf(mirror.CodeSizeInvalid, "read the form: %w", err)
		}
	}
	name := r.PostForm.Get("action")
	if name == "" {
		name = r.URL.Query().Get("action")
	}
	do, known := r.page.actions[name]
	if !known {
		return mirror.Errorf(mirror.CodeUnsupported, "the page has no action %q", name)
	}
	out, err := do(r)
	switch {
	case err != nil, out.sent:
		return err
	case out.show != "":
		h.render(r, http.StatusOK, out.show, out.data, nil)
		return nil
	}
	to := out.to
	if to == "" {
		to = address(r.page.name, r.URL.Query(), "action", "done", "n")
	}
	if out.notice != "" {
		to = withQuery(to, url.Values{"done": {out.notice}, "n": {strconv.Itoa(out.count)}})
	}
	redirect(r.w, to)
	return nil
}

// render sends a page.
func (h *Handler) render(r *request, status int, template string, data any, failed *failure) {
	v := view{
		Page: template, Assets: "assets/" + assetVersion(), Language: r.look.language, Theme: preference(r.Request, themeCookie, themes...),
		User: r.user, Now: time.Now(), ID: r.w.Header().Get("X-Request-Id"), Error: failed, Data: data,
		Back: address(r.page.name, r.URL.Query(), "action", "done", "n"),
	}
	if r.Method != http.MethodPost && failed == nil {
		v.Live = r.page.live.Milliseconds()
	}
	for _, name := range h.order {
		if p := h.pages[name]; !p.hidden {
			v.Nav = append(v.Nav, navItem{Name: name, Title: r.look.text(p.template() + ".title"), Current: name == r.page.name && template != "login"})
		}
	}
	v.Notice = r.notice()
	v.Mode, _ = r.admin.Mode(r.Context()) // a client that may not read it sees none
	var body bytes.Buffer
	if err := r.look.pages[template].ExecuteTemplate(&body, "layout.html", v); err != nil {
		h.opts.Log.Error("cannot render a page of the console", zap.String("page", template), zap.Error(err))
		http.Error(r.w, "the page cannot be rendered", http.StatusInternalServerError)
		return
	}
	send(r, status, body.Bytes())
}

// send sends a page.
func send(r *request, status int, body []byte) {
	header := r.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", r.look.language)
	header.Add("Vary", "Cookie, Accept-Language")
	r.w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = r.w.Write(body) // the client may have disconnected
	}
}

// notice returns the text of what the previous request did.
func (r *request) notice() string {
	query := r.URL.Query()
	n, err := strconv.Atoi(query.Get("n"))
	key := "notice." + query.Get("done")
	if _, known := r.look.texts[key+".one"]; !known || err != nil {
		return ""
	}
	return r.look.count(key, n)
}

// address returns the address of a page with the parameters of a query, without some of them.
func address(name string, query url.Values, without ...string) string {
	for _, key := range without {
		query.Del(key)
	}
	if name == "" {
		name = "."
	}
	if len(query) == 0 {
		return name
	}
	return name + "?" + query.Encode()
}

// withQuery adds parameters to an address.
func withQuery(to string, more url.Values) string {
	if strings.Contains(to, "?") {
		return to + "&" + more.Encode()
	}
	return to + "?" + more.Encode()
}
