package ui

import (
	"errors"
	"net/http"
	"net/url"

	"go.uber.org/zap"

	"airmirror/api/registry"
	"airmirror/mirror"
)

var errNoLogin = mirror.Errorf(mirror.CodeUnsupported, "this mirror has no users: create one with 'mirror user add NAME'")

// failure is an error as a page shows it.
type failure struct {
	Code    mirror.Code
	Message string // as the mirror wrote it
	// Right and Repository are the right that is missing; "" for other errors, and for the mirror as a whole.
	Right, Repository string
	// Login says that another user may be allowed to do it.
	Login bool
}

// fail sends an error instead of a page. A client who has to log in is sent to the page for that.
func (h *Handler) fail(r *request, err error) {
	code := mirror.CodeOf(err)
	status := registry.StatusOf(code)
	if code == mirror.CodeUnauthorized && r.user.CanLogin && r.user.Name == "" && r.Method == http.MethodGet {
		redirect(r.w, "login?"+url.Values{"back": {address(r.page.name, r.URL.Query(), "done", "n")}}.Encode())
		return
	}
	if code == mirror.CodeUnauthorized { // that status is for clients that answer a challenge
		status = http.StatusForbidden
	}
	if code == mirror.CodeUnknown && r.Context().Err() == nil {
		h.opts.Log.Error("a request to the console failed", zap.String("path", r.URL.Path), zap.Error(err))
	}
	message := err.Error()
	if e := (*mirror.Error)(nil); errors.As(err, &e) && e == err {
		message = e.Message
	}
	f := &failure{Code: code, Message: message, Login: isDenied(err) && r.user.CanLogin}
	f.Right, f.Repository = missingRight(err)
	h.render(r, status, "error", nil, f)
}

// missingRight returns the right that an error of the admin API says is missing; see [admin.MissingRight].
func missingRight(err error) (right, repository string) {
	e := (*mirror.Error)(nil)
	if !errors.As(err, &e) {
		return "", ""
	}
	detail, _ := e.Detail.(map[string]any) // decoded from JSON
	right, _ = detail["right"].(string)
	repository, _ = detail["repository"].(string)
	return right, repository
}

// isDenied reports whether an error means that a right is missing.
func isDenied(err error) bool {
	code := mirror.CodeOf(err)
	return code == mirror.CodeUnauthorized || code == mirror.CodeDenied
}
