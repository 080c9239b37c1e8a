package ui

import (
	"airmirror/mirror"
)

// loginData is what the page for logging in shows.
type loginData struct {
	Back, Name string
	Link       string // secret of a one-time link, which needs no name and password
	Error      *failure
}

func loginPage(r *request) (any, error) {
	// A link is used by a form, because browsers and mail programs load addresses in advance.
	return loginData{Back: backOf(r.URL.Query().Get("back")), Link: r.URL.Query().Get("link")}, nil
}

// login begins a session and continues with the page that the client wanted.
func login(r *request) (outcome, error) {
	name, back := r.PostFormValue("name"), backOf(r.PostFormValue("back"))
	var err error
	if link := r.PostFormValue("link"); link != "" {
		err = r.opts.Sessions.LoginByLink(r.w, r.Request, link)
	} else {
		err = r.opts.Sessions.Login(r.w, r.Request, name, r.PostFormValue("password"))
	}
	if err != nil {
		return outcome{show: "login", data: loginData{Back: back, Name: name, Error: &failure{Code: mirror.CodeOf(err), Message: err.Error()}}}, nil
	}
	return outcome{to: back}, nil
}

func logout(r *request) (outcome, error) {
	r.opts.Sessions.Logout(r.w, r.Request)
	return outcome{to: "."}, nil
}
