package proxy_test

import (
	"testing"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// known is an origin of which it is known how it is doing.
type known struct {
	*origin
	status []mirror.UpstreamStatus
}

func (k known) Status() []mirror.UpstreamStatus { return k.status }

func TestCanFetch(t *testing.T) {
	p := start(t, proxy.Options{})
	local := mirror.Repo{Host: "origin.test", Path: "ours/app"}
	p.push(local, "{}")
	_, _, err := p.PutManifest(t.Context(), mirror.Put{Repo: local, MediaType: "application/vnd.oci.image.manifest.v1+json", Bytes: emptyImage(p.origin), Tags: []string{"v1"}})
	p.must(err)
	for name, test := range map[string]struct {
		opts   proxy.Options
		repo   mirror.Repo
		status mirror.UpstreamStatus
		want   mirror.Code
	}{
		"answers":          {repo: app, status: mirror.UpstreamStatus{Host: app.Host, Asked: true}},
		"never asked":      {repo: app, status: mirror.UpstreamStatus{Host: app.Host}},
		"gone":             {repo: app, status: mirror.UpstreamStatus{Host: app.Host, Down: true}, want: mirror.CodeUnavailable},
		"another upstream": {repo: app, status: mirror.UpstreamStatus{Host: "other.test"}, want: mirror.CodeNameUnknown},
		"local":            {repo: local, status: mirror.UpstreamStatus{Host: app.Host}, want: mirror.CodeDenied},
		"offline":          {opts: proxy.Options{Mode: mirror.Offline}, repo: app, status: mirror.UpstreamStatus{Host: app.Host}, want: mirror.CodeUnavailable},
		"offline for good": {opts: proxy.Options{Offline: true}, repo: app, want: mirror.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := mirror.Upstream(known{p.origin, []mirror.UpstreamStatus{test.status}})
			if test.opts.Offline {
				upstream = nil
			}
			m, err := proxy.New(p.store, upstream, test.opts)
			p.must(err)
			defer func() { p.must(m.Close(t.Context())) }()
			if err := m.CanFetch(t.Context(), test.repo); mirror.CodeOf(err) != test.want {
				t.Errorf("%v, want code %q", err, test.want)
			}
		})
	}
}
