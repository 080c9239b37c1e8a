package upstream

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestChallenges(t *testing.T) {
	for header, want := range map[string]string{
		`Bearer realm="https://auth.test/token",service="s",scope="repository:a/b:pull,push"`: `bearer map[realm:https://auth.test/token scope:repository:a/b:pull,push service:s]`,
		`bearer REALM="https://auth.test/token"`:                                              `bearer map[realm:https://auth.test/token]`,
		`Bearer realm=https://auth.test/token?a=b, service=s`:                                 `bearer map[realm:https://auth.test/token?a=b service:s]`,
		`Basic realm="x", Bearer realm="https://a.test",scope="a b"`:                          `bearer map[realm:https://a.test scope:a b]; basic map[realm:x]`,
		`Basic realm="x", error="y" , Basic`:                                                  `basic map[error:y realm:x]; basic map[]`,
		`Negotiate, Basic realm="a \"b\" \\ c"`:                                               `basic map[realm:a "b" \ c]`,
		`Negotiate YII==, Basic realm="x"`:                                                    `basic map[realm:x]`,
		`Basic realm="not closed`:                                                             `basic map[realm:not closed]`,
		`Basic`:                                                                               `basic map[]`,
		`Digest realm="x", nonce="y"`:                                                         ``,
		``:                                                                                    ``,
		`,,, = "" ,`:                                                                          ``,
	} {
		var got []string
		for _, c := range challengesOf(&http.Response{Header: http.Header{"Www-Authenticate": {header}}}) {
			got = append(got, fmt.Sprint(c.scheme, " ", c.params))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s\nis   %s\nwant %s", header, strings.Join(got, "; "), want)
		}
	}
}

func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://auth.test/token",service="s"`)
	f.Add(`Basic realm="\`)
	f.Fuzz(func(t *testing.T, header string) { parseChallenges(header) })
}
