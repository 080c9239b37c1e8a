package ui

import (
	"strconv"
	"strings"
	"time"

	"airmirror/api/admin"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// accessData is what the page of users, tokens and rules shows.
type accessData struct {
	Rules    admin.AccessRules
	Tokens   []tokenRow
	Actions  []registry.Action
	Question admin.AccessQuestion
	Answer   *admin.AccessAnswer // to Question; nil if nothing was asked
	Because  string              // the numbers of the rules that allow it
	Created  *admin.NewToken     // the token that was created just now
}

// tokenRow is an API token.
type tokenRow struct {
	admin.Token
	IsExpired bool
}

// tokenActions are the actions that a token can allow, in the order of the form.
var tokenActions = []registry.Action{registry.Pull, registry.Push, registry.Delete, registry.Admin}

func accessPage(r *request) (any, error) {
	d := accessData{Actions: tokenActions}
	var err error
	if d.Rules, err = r.admin.AccessRules(r.Context()); err != nil {
		return nil, err
	}
	tokens, err := r.admin.Tokens(r.Context())
	if err != nil {
		return nil, err
	}
	for _, token := range tokens {
		d.Tokens = append(d.Tokens, tokenRow{token, token.Expired(time.Now())})
	}
	query := r.URL.Query()
	d.Question = admin.AccessQuestion{User: query.Get("user"), Action: registry.Action(query.Get("do")), Repository: query.Get("repository")}
	if d.Question.Action != "" {
		answer, err := r.admin.CheckAccess(r.Context(), d.Question)
		if err != nil {
			return nil, err
		}
		d.Answer = &answer
		var rules []string
		for _, n := range answer.Rules {
			rules = append(rules, strconv.Itoa(n))
		}
		d.Because = strings.Join(rules, ", ")
	}
	return d, nil
}

// addUser sets the password of a user.
func addUser(r *request) (outcome, error) {
	_, err := r.admin.SetPassword(r.Context(), r.PostFormValue("name"), r.PostFormValue("password"))
	return outcome{notice: "user", count: 1}, err
}

// removeUser removes a user.
func removeUser(r *request) (outcome, error) {
	return outcome{notice: "userRemoved", count: 1}, r.admin.RemoveUser(r.Context(), r.PostFormValue("name"))
}

// createToken creates an API token, and shows its secret once.
func createToken(r *request) (outcome, error) {
	req := admin.TokenRequest{Name: r.PostFormValue("name"), Repositories: strings.Fields(r.PostFormValue("repositories"))}
	for _, action := range r.PostForm["right"] {
		req.Actions = append(req.Actions, registry.Action(action))
	}
	if days := r.PostFormValue("days"); days != "" {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 {
			return outcome{}, mirror.Errorf(mirror.CodeNameInvalid, "%q is not a number of days", days)
		}
		req.Expires = time.Now().AddDate(0, 0, n)
	}
	created, err := r.admin.CreateToken(r.Context(), req)
	if err != nil {
		return outcome{}, err
	}
	data, err := accessPage(r)
	if err != nil {
		return outcome{}, err
	}
	d := data.(accessData)
	d.Created = &created
	return outcome{show: "access", data: d}, nil
}

// revokeToken deletes an API token.
func revokeToken(r *request) (outcome, error) {
	return outcome{notice: "revoke", count: 1}, r.admin.RevokeToken(r.Context(), r.PostFormValue("name"))
}
