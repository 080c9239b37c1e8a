package mirror

import v1 "github.com/opencontainers/image-spec/specs-go/v1"

// PlatformString writes a platform as os/arch or os/arch/variant.
func PlatformString(p v1.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// MatchPlatform reports whether p is what s asks for; os/arch asks for all its variants.
func MatchPlatform(s string, p v1.Platform) bool {
	return s == PlatformString(p) || s == p.OS+"/"+p.Architecture
}
