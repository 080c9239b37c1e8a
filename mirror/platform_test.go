package mirror_test

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// platformOf reads os/arch/variant as it stands there.
func platformOf(s string) *v1.Platform {
	parts := append(strings.Split(s, "/"), "")
	return &v1.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
}

func TestSelectPlatforms(t *testing.T) {
	all := []string{"linux/amd64", "linux/arm64/v8", "linux/arm/v7", "linux/arm/v6", "windows/amd64", "linux/386"}
	for _, tt := range []struct {
		asked string // with commas
		index []string
		want  []string
	}{
		{"linux/amd64", all, []string{"linux/amd64"}},
		{"linux/amd64,linux/arm64", all, []string{"linux/amd64", "linux/arm64/v8"}},
		{"linux/arm64", all, []string{"linux/arm64/v8"}},
		{"linux/arm64/v8", []string{"linux/arm64"}, []string{"linux/arm64"}},
		{"linux/arm64/v9", []string{"linux/arm64"}, []string{"linux/arm64"}},
		{"linux/arm64/8", []string{"linux/arm64"}, []string{"linux/arm64"}},
		{"linux/aarch64", all, []string{"linux/arm64/v8"}},
		{"Linux/X86_64", all, []string{"linux/amd64"}},
		{"linux/i386", all, []string{"linux/386"}},
		{"linux/armhf", all, []string{"linux/arm/v7"}},
		{"linux/armel", all, []string{"linux/arm/v6"}},
		{"linux/arm", all, []string{"linux/arm/v7", "linux/arm/v6"}},
		{"linux/arm/v7", all, []string{"linux/arm/v7"}},
		{"linux/arm/v7", []string{"linux/arm"}, []string{"linux/arm"}},
		{"linux/arm/v6", []string{"linux/arm"}, nil},
		{"linux/arm/v7", []string{"linux/arm/v5", "linux/arm/v6"}, []string{"linux/arm/v6"}},
		{"linux/arm/v7", []string{"linux/arm/v5"}, []string{"linux/arm/v5"}},
		{"linux/arm/v6", []string{"linux/arm/v7"}, nil},
		{"linux/amd64", []string{"linux/amd64/v1", "linux/amd64/v2"}, []string{"linux/amd64/v1", "linux/amd64/v2"}},
		{"linux/amd64/v3", []string{"linux/amd64"}, []string{"linux/amd64"}},
		{"linux/amd64", []string{"linux/386"}, nil},
		{"linux/arm64", []string{"linux/arm/v7"}, nil},
		{"linux/s390x", all, nil},
		{"linux/ppc64el", []string{"linux/ppc64le"}, []string{"linux/ppc64le"}},
		{"windows/amd64", []string{"windows/amd64", "windows/amd64"}, []string{"windows/amd64", "windows/amd64"}},
	} {
		asked, err := mirror.ParsePlatforms(strings.Split(tt.asked, ","))
		if err != nil {
			t.Fatal(err)
		}
		index := []v1.Descriptor{{}}
		for _, s := range tt.index {
			index = append(index, v1.Descriptor{Platform: platformOf(s)})
		}
		var got []string
		for i, selected := range asked.Select(index) {
			if selected {
				got = append(got, tt.index[i-1])
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s of %v: %v, want %v", tt.asked, tt.index, got, tt.want)
		}
		for _, s := range tt.want {
			if !asked.Accept(*platformOf(s)) {
				t.Errorf("%s does not accept an image for %s", tt.asked, s)
			}
		}
	}
	if _, err := mirror.ParsePlatforms([]string{"amd64"}); err == nil || !strings.Contains(err.Error(), "os/arch") {
		t.Errorf("amd64 alone: %v", err)
	}
	if all, err := mirror.ParsePlatforms(nil); err != nil || !all.Accept(*platformOf("plan9/mips")) {
		t.Errorf("no platforms do not mean all: %v", err)
	}
}
