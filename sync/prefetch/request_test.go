package prefetch

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for want, req := range map[string]Request{
		"":                      {Images: []string{"alpine", "ghcr.io/org/app:v1"}, Platforms: []string{"linux/arm64/v8", "linux/amd64"}, Parallel: 2},
		"is not a platform":     {Platforms: []string{"linux/amd64", "foo"}},
		"at least one":          {Parallel: -3},
		`tags by ">=x"`:         {Tags: []string{">=x"}},
		`tags by "<2 || >*"`:    {Tags: []string{"<2 || >*"}},
		`tags by "["`:           {Tags: []string{"["}},
		`"Alpine" is not a rep`: {Images: []string{"Alpine"}},
		"has a tag or digest":   {Images: []string{"alpine:3"}, AllTags: true},
		"has a tag or digest,":  {Images: []string{"alpine:3"}, Tags: []string{"v*"}},
	} {
		err := req.Check()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", req, err, want)
		}
	}
	if err := (Request{Images: []string{"alpine"}, Tags: []string{"v1.*", "1.x", ">=1.2 <2", "~1.x", "*"}}).Check(); err != nil {
		t.Error(err)
	}
}
