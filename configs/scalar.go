package configs

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a span of time, written as Go writes it: 250ms, 4h. A bare
// number is refused, and so is a negative span.
type Duration time.Duration

// ParseDuration reads what an operator writes for a Duration.
func ParseDuration(text string) (Duration, error) {
	if isBareNumber(text) {
		return 0, fmt.Errorf("a bare number is not a duration: give the unit, like %ss or %sms", text, text)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s is not a duration: write it like 250ms, 30s or 4h", quoteShort(text))
	}
	if d < 0 {
		return 0, errors.New("a duration must not be negative")
	}
	return Duration(d), nil
}

// String is the duration as Go writes it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText is String; a negative duration has no text.
func (d Duration) MarshalText() ([]byte, error) {
	if d < 0 {
		return nil, fmt.Errorf("negative duration %s", d)
	}
	return []byte(d.String()), nil
}

// UnmarshalText is ParseDuration.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// Size is a number of bytes, written with a unit: 512KiB, 64MiB, 10GiB. A bare
// number is refused.
type Size int64

// Units of a Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

// ParseSize reads what an operator writes for a Size.
func ParseSize(text string) (Size, error) {
	if isBareNumber(text) {
		return 0, errors.New("a bare number is not a size: give the unit, like 512KiB, 64MiB or 10GiB")
	}
	malformed := fmt.Errorf("%s is not a size: write a whole number and KiB, MiB or GiB, like 64MiB", quoteShort(text))
	for _, unit := range sizeUnits() {
		digits, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		if digits == "" || strings.Trim(digits, "0123456789") != "" {
			return 0, malformed
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n > math.MaxInt64/int64(unit.size) {
			return 0, fmt.Errorf("%s is more bytes than can be counted", quoteShort(text))
		}
		return Size(n) * unit.size, nil
	}
	return 0, malformed
}

// String is the size in the largest unit that divides it, or the number of
// bytes with B, which ParseSize does not read.
func (s Size) String() string {
	for _, unit := range sizeUnits() {
		if s%unit.size == 0 {
			return strconv.FormatInt(int64(s/unit.size), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText is String. A size that no unit divides, or a negative one, has
// no text.
func (s Size) MarshalText() ([]byte, error) {
	if s < 0 || s%KiB != 0 {
		return nil, fmt.Errorf("size of %d bytes is not a whole number of KiB", int64(s))
	}
	return []byte(s.String()), nil
}

// UnmarshalText is ParseSize.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}

type sizeUnit struct {
	name string
	size Size
}

// sizeUnits are the units from the largest down.
func sizeUnits() []sizeUnit { return []sizeUnit{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}} }

func isBareNumber(text string) bool {
	return numberPattern.MatchString(strings.TrimPrefix(text, "+"))
}

// quoteShort quotes a text for a message and cuts a long one.
func quoteShort(text string) string {
	const most = 60
	if len(text) <= most {
		return strconv.Quote(text)
	}
	cut := most
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return strconv.Quote(text[:cut]) + "…"
}
