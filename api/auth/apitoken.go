package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"airmirror/api/admin"
	"airmirror/mirror"
)

const (
	// secretPrefix begins the secrets of API tokens, so that they are recognized in logs and files.
	secretPrefix = "mirror_"
	// tokenUser begins the names of clients with an API token. Names of users contain no colon.
	tokenUser = "token:"
	// tokenState is the kind of the records of tokens in the state of the mirror, by name. A backup of the index has them.
	tokenState = "api-token"
	// useStep is the precision of [admin.Token.LastUsed]. A token that is used all the time causes one write per step.
	useStep = time.Hour
	// reloadTokens is the age at which the tokens are read again: another node of a cluster may have changed them.
	reloadTokens = 5 * time.Second
)

// Tokens are the API tokens of a mirror. They implement [admin.TokenStore], and [Options.Tokens] lets clients log in with
// them. They are safe for concurrent use.
type Tokens struct {
	store mirror.StateStore
	log   *zap.Logger
	all   atomic.Pointer[tokenSet]
	mu    sync.Mutex // held while tokens are written or read again
}

// tokenSet is an immutable set of tokens.
type tokenSet struct {
	byHash map[string]*apiToken
	byName map[string]*apiToken
	read   time.Time
}

// apiToken is the record of a token.
type apiToken struct {
	admin.Token
	Hash []byte `json:"hash"` // SHA-256 of the secret, which is too long to be guessed
}

// OpenTokens reads the tokens in a store.
func OpenTokens(ctx context.Context, store mirror.StateStore, log *zap.Logger) (*Tokens, error) {
	t := &Tokens{store: store, log: log}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t, t.load(ctx)
}

// load reads the tokens. The caller holds t.mu.
func (t *Tokens) load(ctx context.Context) error {
	records, err := t.store.State(ctx, tokenState)
	if err != nil {
		return err
	}
	set := &tokenSet{byHash: map[string]*apiToken{}, byName: map[string]*apiToken{}, read: time.Now()}
	for name, record := range records {
		var token apiToken
		if err := json.Unmarshal(record, &token); err != nil {
			t.log.Error("cannot read an API token: it is not valid", zap.String("token", name), zap.Error(err))
			continue
		}
		set.byHash[string(token.Hash)], set.byName[token.Name] = &token, &token
	}
	t.all.Store(set)
	return nil
}

// current returns the tokens. A nil receiver has none.
func (t *Tokens) current() *tokenSet {
	if t == nil {
		return &tokenSet{}
	}
	set := t.all.Load()
	if time.Since(set.read) < reloadTokens || !t.mu.TryLock() {
		return set
	}
	defer t.mu.Unlock()
	if err := t.load(context.Background()); err != nil {
		t.log.Warn("cannot read the API tokens again: the known ones stay valid", zap.Error(err))
	}
	return t.all.Load()
}

// exist reports whether there are tokens, expired or not: rights of this machine do not come back when one expires.
func (t *Tokens) exist() bool { return len(t.current().byName) > 0 }

// bySecret returns the valid token with a secret, or nil.
func (t *Tokens) bySecret(secret string) *apiToken {
	hash := sha256.Sum256([]byte(secret))
	return t.current().byHash[string(hash[:])].valid()
}

// byName returns the valid token with a name, or nil.
func (t *Tokens) byName(name string) *apiToken { return t.current().byName[name].valid() }

// valid returns a token unless it has expired.
func (a *apiToken) valid() *apiToken {
	if a == nil || a.Expired(time.Now()) {
		return nil
	}
	return a
}

// used records that a token was used, at most once an hour.
func (t *Tokens) used(ctx context.Context, a *apiToken) {
	now := time.Now().UTC().Truncate(time.Second)
	if now.Sub(a.LastUsed) < useStep || !t.mu.TryLock() { // another one is written: the next request does it
		return
	}
	defer t.mu.Unlock()
	known := t.all.Load().byName[a.Name]
	if known == nil || string(known.Hash) != string(a.Hash) || now.Sub(known.LastUsed) < useStep {
		return
	}
	changed := *known
	changed.LastUsed = now
	if err := t.write(context.WithoutCancel(ctx), a.Name, &changed); err != nil {
		t.log.Warn("cannot record the use of an API token", zap.String("token", a.Name), zap.Error(err))
	}
}

// write stores a token, or deletes it if it is nil, and reads all of them again. The caller holds t.mu.
func (t *Tokens) write(ctx context.Context, name string, token *apiToken) error {
	var record []byte
	if token != nil {
		var err error
		if record, err = json.Marshal(token); err != nil {
			return err
		}
	}
	if err := t.store.SetState(ctx, tokenState, map[string][]byte{name: record}); err != nil {
		return err
	}
	return t.load(ctx)
}

// CreateToken implements [admin.TokenStore].
func (t *Tokens) CreateToken(ctx context.Context, req admin.TokenRequest, createdBy string) (created admin.NewToken, err error) {
	now := time.Now().UTC().Truncate(time.Second)
	created.Token = admin.Token{
		Name: req.Name, Actions: req.Actions, Repositories: req.Repositories, Expires: req.Expires.UTC().Truncate(time.Second), Created: now, CreatedBy: createdBy,
	}
	if req.Expires.IsZero() {
		created.Expires = time.Time{}
	}
	switch {
	case !ValidUser(req.Name):
		return created, mirror.Errorf(mirror.CodeNameInvalid, "%q cannot be the name of a token: it is reserved for rules, or contains a colon or a space", req.Name)
	case created.Expired(now):
		return created, mirror.Errorf(mirror.CodeNameInvalid, "the token %s would have expired already: %s is in the past", req.Name, created.Expires.Format(time.RFC3339))
	}
	if _, err := tokenRules(created.Token, mirror.Names{}); err != nil {
		return created, mirror.Errorf(mirror.CodeNameInvalid, "token %s: %w", req.Name, err)
	}
	created.Secret = secretPrefix + rand.Text()
	hash := sha256.Sum256([]byte(created.Secret))
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(ctx); err != nil {
		return created, err
	}
	if t.all.Load().byName[req.Name] != nil {
		return created, mirror.Errorf(mirror.CodeNameInvalid, "there is a token %s: revoke it first, or choose another name", req.Name)
	}
	return created, t.write(ctx, req.Name, &apiToken{Token: created.Token, Hash: hash[:]})
}

// Tokens implements [admin.TokenStore].
func (t *Tokens) Tokens(context.Context) (all []admin.Token, err error) {
	for _, token := range t.current().byName {
		all = append(all, token.Token)
	}
	slices.SortFunc(all, func(a, b admin.Token) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// RevokeToken implements [admin.TokenStore].
func (t *Tokens) RevokeToken(ctx context.Context, name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(ctx); err != nil {
		return err
	}
	if t.all.Load().byName[name] == nil {
		return mirror.Errorf(mirror.CodeNameUnknown, "there is no token %s: 'mirror token ls' lists all tokens", name)
	}
	return t.write(ctx, name, nil)
}

// tokenRules returns the rules for a token.
func tokenRules(token admin.Token, names mirror.Names) (rules, error) {
	given := Rule{Users: []string{Authenticated}, Repositories: token.Repositories, Actions: token.Actions}
	compiled, err := given.compile(Options{Names: names})
	return rules{all: []rule{compiled}}, err
}
