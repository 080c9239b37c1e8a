package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// LoggedChange is something that was changed, exported or refused: who did it, and from where.
type LoggedChange struct {
	Time    time.Time `json:"time"`
	Number  int64     `json:"number,omitempty"`  // later changes have higher numbers; 0 in the audit log
	Action  string    `json:"action"`            // push, push-blob, mount, delete, delete-blob, or the action of a command
	User    string    `json:"user,omitempty"`    // the user; for commands, the account on this machine; "" for the mirror itself
	Address string    `json:"address,omitempty"` // the client's address; "local" for commands on this machine
	Request string    `json:"request,omitempty"` // the request ID, as in other logs

	Repo   string        `json:"repository,omitempty"` // in the form of [mirror.Repo.String]
	Tags   []string      `json:"tags,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"`
	Bytes  int64         `json:"bytes,omitempty"`
	From   string        `json:"from,omitempty"` // the repository that a blob was mounted from
	// Was is the digest that each tag had before, for tags that moved.
	Was map[string]digest.Digest `json:"was,omitempty"`
	// Detail is the request of a command.
	Detail json.RawMessage `json:"detail,omitempty"`

	Result mirror.Code `json:"result"` // "OK", or the error code
	Error  string      `json:"error,omitempty"`
}

// Target returns what was changed, for people: the repository with its tags or the beginning of the digest, or the request of a
// command; "" if there is nothing to add to the action.
func (c LoggedChange) Target() string {
	switch {
	case len(c.Tags) > 0:
		return c.Repo + ":" + strings.Join(c.Tags, ", ")
	case c.Digest != "":
		encoded := c.Digest.Encoded()
		return c.Repo + "@" + encoded[:min(len(encoded), 12)]
	case c.Repo == "" && string(c.Detail) != "{}" && string(c.Detail) != "null":
		return string(c.Detail)
	}
	return c.Repo
}

// ChangeLog keeps the latest changes. Package audit implements it.
type ChangeLog interface {
	// Changes returns the changes that are kept, the latest first. The caller must not change them.
	Changes() []LoggedChange
}

// ChangeQuery selects changes. The zero value selects the latest.
type ChangeQuery struct {
	Match   []string  // patterns of repositories; with any, only pushes and deletions of clients are selected
	Actions []string  // none selects all
	User    string    // "" selects those of everybody
	Since   time.Time // zero selects all
	Before  int64     // only changes with lower numbers, see [ChangePage.Next]; 0 for the latest
	After   int64     // only changes with higher numbers
	Limit   int       // at most [MaxChanges]; 0 is [MaxChanges]
}

// ChangePage is a part of the list of changes.
type ChangePage struct {
	Changes []LoggedChange `json:"changes"` // the latest first
	// Next continues with earlier changes, as ?before=; absent at the end.
	Next int64 `json:"next,omitempty"`
}

// MaxChanges is how many changes a mirror keeps.
const MaxChanges = 500

func (q ChangeQuery) values() url.Values {
	v := url.Values{"match": q.Match, "action": q.Actions}
	if q.User != "" {
		v.Set("user", q.User)
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339))
	}
	for name, number := range map[string]int64{"before": q.Before, "after": q.After, "limit": int64(q.Limit)} {
		if number > 0 {
			v.Set(name, strconv.FormatInt(number, 10))
		}
	}
	return v
}

// changeQueryOf reads the parameters of a request.
func changeQueryOf(v url.Values) (q ChangeQuery, err error) {
	q = ChangeQuery{Match: v["match"], Actions: v["action"], User: v.Get("user"), Limit: MaxChanges}
	if text := v.Get("since"); text != "" {
		if q.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return q, mirror.Errorf(mirror.CodeUnsupported, "since: write a time as 2026-01-31T00:00:00Z: %w", err)
		}
	}
	limit := int64(MaxChanges)
	for name, to := range map[string]*int64{"before": &q.Before, "after": &q.After, "limit": &limit} {
		text := v.Get(name)
		if text == "" {
			continue
		}
		if *to, err = strconv.ParseInt(text, 10, 64); err != nil || *to < 0 || to == &limit && *to == 0 {
			return q, mirror.Errorf(mirror.CodePaginationInvalid, "%s=%s is not a number that is possible here", name, mirror.Printable(text))
		}
	}
	q.Limit = int(min(limit, MaxChanges))
	return q, nil
}

// changes answers with the latest changes that the sender may see: administrators all of them, others what was pushed to and
// deleted from the repositories that they may pull, without who did it, unless it was they.
func (h *Handler) changes(w http.ResponseWriter, r *http.Request) error {
	q, err := changeQueryOf(r.URL.Query())
	if err != nil {
		return err
	}
	selected, err := MatchRepos(h.mirror.Names(), q.Match)
	if err != nil {
		return err
	}
	page := ChangePage{Changes: []LoggedChange{}}
	if h.opts.Changes == nil {
		return writeJSON(w, page)
	}
	access := AccessOf(r.Context())
	for _, c := range h.opts.Changes.Changes() {
		c, visible := access.change(c)
		if !visible || !q.selects(c, selected) {
			continue
		}
		if len(page.Changes) == q.Limit {
			page.Next = page.Changes[q.Limit-1].Number
			break
		}
		page.Changes = append(page.Changes, c)
	}
	return writeJSON(w, page)
}

// selects reports whether the query selects a change; repo selects repositories by [ChangeQuery.Match].
func (q ChangeQuery) selects(c LoggedChange, repo func(mirror.Repo) bool) bool {
	switch {
	case c.Number <= q.After, q.Before > 0 && c.Number >= q.Before, c.Time.Before(q.Since), q.User != "" && c.User != q.User,
		len(q.Actions) > 0 && !slices.Contains(q.Actions, c.Action):
		return false
	case len(q.Match) == 0:
		return true
	}
	in, err := mirror.ParseRepo(c.Repo)
	return err == nil && repo(in)
}

// change returns what the sender may see of a change.
func (a Access) change(c LoggedChange) (_ LoggedChange, visible bool) {
	if a.IsAdmin() {
		return c, true
	}
	repo, err := mirror.ParseRepo(c.Repo)
	if err != nil || !a.MayPull(repo) {
		return c, false
	}
	if from, err := mirror.ParseRepo(c.From); err != nil || !a.MayPull(from) {
		c.From = ""
	}
	if a.User == "" || a.User != c.User {
		c.User, c.Address, c.Request = "", "", ""
	}
	return c, true
}
