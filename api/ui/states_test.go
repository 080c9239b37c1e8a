package ui_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"airmirror/api/admin"
	"airmirror/api/registry"
	"airmirror/api/ui"
	"airmirror/gc"
	"airmirror/mirror"
)

// texts returns the texts of a language.
func texts(t *testing.T, language string) (all map[string]string) {
	t.Helper()
	text, err := os.ReadFile("texts/" + language + ".json")
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestEachCodeHasTexts checks that each code of an error has a sentence and a next step, and that each code of a reason has a text.
func TestEachCodeHasTexts(t *testing.T) {
	known := texts(t, "zh")
	file, err := parser.ParseFile(token.NewFileSet(), "../../mirror/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		codes++
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil || known["error."+code] == "" || known["next."+code] == "" {
			t.Errorf("%s lacks a sentence or a next step, %v", code, err)
		}
		return true
	})
	if codes < 20 {
		t.Errorf("only %d codes were found", codes)
	}
	for _, code := range gc.ReasonCodes() {
		if known["reason."+code] == "" {
			t.Errorf("the reason %s has no text", code)
		}
	}
}

// failing is a transport whose answers are an error of the mirror.
type failing struct{ code mirror.Code }

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.WriteHeader(registry.StatusOf(f.code))
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]any{"code": f.code, "message": "as the mirror wrote it"}}})
	answer := w.Result()
	answer.Request = r
	return answer, nil
}

// pagesOf are the pages that need the admin API, with what each shows of a mirror that has nothing; "" if it always has something.
var pagesOf = map[string]string{
	"": "overview.noImages", "images": "images.none", "wants": "wants.none", "transfer": "transfer.noHistory", "space": "", "access": "", "system": "",
}

// TestEmptyPages checks what pages show of a mirror that has nothing yet.
func TestEmptyPages(t *testing.T) {
	for _, language := range []string{"en", "zh"} {
		known := texts(t, language)
		c := open(t)
		for page, key := range pagesOf {
			a := c.get(page, "Accept-Language", language)
			a.shows(t, http.StatusOK, `lang="`+language+`"`, known["layout.asOf"], `id="stale"`, known["layout.stale"])
			if key != "" {
				a.shows(t, http.StatusOK, `class="empty"`, known[key])
			}
		}
	}
}

// TestFailedPages checks that each page shows an error of the mirror as a sentence, a next step, the code and the request, in the
// language of the reader, and with its status.
func TestFailedPages(t *testing.T) {
	for _, language := range []string{"en", "zh"} {
		known := texts(t, language)
		for _, code := range []mirror.Code{mirror.CodeUnavailable, mirror.CodeStorageFull, mirror.CodeUnknown} {
			handler := ui.New(failing{code}, ui.Options{})
			for page := range pagesOf {
				r := httptest.NewRequest(http.MethodGet, ui.Path+page, nil)
				r.Header.Set("Accept-Language", language)
				r = r.WithContext(admin.WithAccess(r.Context(), admin.Access{User: "ada", Rights: rights{registry.Pull, registry.Admin, registry.Delete}}))
				w := httptest.NewRecorder()
				w.Header().Set("X-Request-Id", "request-7")
				handler.ServeHTTP(w, r)
				if page == "access" && w.Code == http.StatusOK { // it shows what it can
					continue
				}
				answer{w.Result(), w.Body.String()}.shows(t, registry.StatusOf(code),
					`role="alert"`, known["error."+string(code)], known["next."+string(code)], "<code>"+string(code)+"</code>", "<code>request-7</code>", "as the mirror wrote it")
			}
		}
	}
}

// TestForbiddenChanges checks that each change names the right that is missing.
func TestForbiddenChanges(t *testing.T) {
	for _, language := range []string{"en", "zh"} {
		known := texts(t, language)
		c := open(t)
		c.push("library/alpine", "3", true)
		c.access = admin.Access{User: "bob", CanLogIn: true, Rights: rights{registry.Pull}}
		for change, right := range map[string]string{
			"images?action=pin": "admin", "images?action=delete": "delete", "images?action=export": "admin",
			"transfer?action=plan": "admin", "space?action=plan": "admin", "space?action=collect": "admin", "system?action=mode": "admin",
			"system?action=read-only": "admin", "system?action=verify": "admin", "access?action=token": "admin",
		} {
			form := url.Values{"ref": {"docker.io/library/alpine:3"}, "images": {"alpine:3"}, "mode": {"offline"}, "name": {"robot"}, "on": {"1"}}
			r := httptest.NewRequest(http.MethodPost, ui.Path+change, strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Accept-Language", language)
			a := c.do(r)
			a.shows(t, http.StatusForbidden, known["error.right"], "<strong>"+known["right."+right]+"</strong>", known["next.DENIED"], known["login.login"])
			if t.Failed() {
				t.Fatal(change)
			}
		}
	}
}

// TestReasonsAreTranslated checks that a plan says in the language of the reader why something is deleted.
func TestReasonsAreTranslated(t *testing.T) {
	c := open(t)
	c.push("library/alpine", "3", true)
	for _, language := range []string{"en", "zh"} {
		form := url.Values{"ref": {"docker.io/library/alpine:3"}}
		r := httptest.NewRequest(http.MethodPost, ui.Path+"images?action=delete", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept-Language", language)
		c.do(r).shows(t, http.StatusOK, "<td>"+texts(t, language)["reason.removed"]+"</td>")
	}
}
