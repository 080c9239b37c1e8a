package mirror

import (
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// PlatformString writes a platform as os/arch or os/arch/variant.
func PlatformString(p v1.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// MatchPlatform reports whether p is what s asks for; os/arch asks for all its variants. The only 64-bit ARM that there
// is for containers, v8, is seldom written down: linux/arm64 and linux/arm64/v8 are the same.
func MatchPlatform(s string, p v1.Platform) bool {
	if p.Architecture == "arm64" && p.Variant == "" {
		s = strings.TrimSuffix(s, "/v8")
	}
	return s == PlatformString(p) || s == p.OS+"/"+p.Architecture
}
