package oip

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// parse reads one number as the decoder does, quick path first.
func parse(text string, size int) (value float64, ok bool) {
	b := []byte(text)
	mantissa, exponent, end, f := scanNumber(b, 0)
	if end != len(b) {
		return 0, false
	}
	if size == 32 {
		if value, ok := float32Of(mantissa, exponent, f); ok {
			return float64(value), true
		}
	} else if value, ok := float64Of(mantissa, exponent, f); ok {
		return value, true
	}
	return slowFloat(b, size)
}

// parseInList reads one number as the first of a list, with enough behind it
// that it is scanned together with others.
func parseInList(text string, size int) (value float64, ok bool) {
	body := "[" + text + ",  0" + strings.Repeat(",0", runWindow) + "]"
	kind := runtime.FP64
	if size == 32 {
		kind = runtime.FP32
	}
	n := runWindow + 2
	f := filler{s: &scanner{b: []byte(body)}, kind: kind, data: make([]byte, size/8*n)}
	if f.row(n) != nil {
		return 0, false
	}
	if size == 32 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(f.data))), true
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(f.data)), true
}

func checkFloat(t *testing.T, text string) {
	t.Helper()
	for _, size := range []int{32, 64} {
		want, err := strconv.ParseFloat(text, size)
		for name, read := range map[string]func(string, int) (float64, bool){"alone": parse, "in a list": parseInList} {
			got, ok := read(text, size)
			if ok != (err == nil) || ok && math.Float64bits(got) != math.Float64bits(want) {
				t.Errorf("%s, %s, as FP%d = %v, %v; strconv gives %v, %v", text, name, size, got, ok, want, err)
			}
		}
	}
}

// randomNumber writes a JSON number of one of the kinds that clients send, and
// of kinds meant to be hard.
func randomNumber(rng *rand.Rand) string {
	switch rng.IntN(9) {
	case 0:
		return fmt.Sprintf("%.6f", rng.Float64()*2-1)
	case 1:
		return strconv.FormatFloat(float64(math.Float32frombits(rng.Uint32()&^0x40000000)), 'g', -1, 64)
	case 2:
		return strconv.FormatFloat(rng.NormFloat64(), 'g', -1, 64)
	case 3: // any finite double, in any of its notations
		return strconv.FormatFloat(math.Float64frombits(rng.Uint64()&^(1<<62)), 'e', rng.IntN(25), 64)
	case 4: // halfway between two float32 values, and just beside
		low := math.Float32frombits(rng.Uint32()&0x3fffffff + 0x20000000)
		middle := (float64(low) + float64(math.Nextafter32(low, math.MaxFloat32))) / 2
		text := strconv.FormatFloat(middle, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text + []string{"", "0", "00000000000000000001"}[rng.IntN(3)]
	case 5: // halfway between two doubles, all digits
		low := math.Float64frombits(rng.Uint64()>>2 | 1<<61)
		middle := new(big.Float).SetPrec(80).SetFloat64(low)
		middle.Add(middle, new(big.Float).SetFloat64(math.Nextafter(low, math.MaxFloat64)))
		middle.Quo(middle, big.NewFloat(2))
		return middle.Text('e', 800)
	case 6:
		return fmt.Sprintf("-%d.%0*de%+03d", rng.IntN(1000), rng.IntN(30), rng.Uint64(), rng.IntN(80)-40)
	case 7:
		return strconv.FormatUint(rng.Uint64()>>rng.IntN(64), 10)
	default:
		return fmt.Sprintf("0.%s%d", strings.Repeat("0", rng.IntN(40)), rng.Uint64()>>rng.IntN(64))
	}
}

func TestFloatsEqualStrconv(t *testing.T) {
	count := 200_000
	switch {
	case os.Getenv("SEGUE_SOAK") != "":
		count = 10_000_000
	case testing.Short():
		count = 20_000
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1))
	for range count {
		text := randomNumber(rng)
		if mantissa := strings.TrimLeft(text, "-"); strings.HasPrefix(mantissa, "NaN") || strings.Contains(text, "Inf") {
			continue
		}
		checkFloat(t, text)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestFloatsAtTheEdges(t *testing.T) {
	for _, text := range []string{
		"0", "-0", "0.0", "-0.0e5", "0e999999999999999999", "1e-999999999999999999", "1e400", "-1e400", "1e39", "3.4028235e38",
		"3.4028235677973366e38", "3.4028235677973365e38", "1.4e-45", "7e-46", "7.006492321624085e-46", "7.006492321624086e-46",
		"1.1754942807573643e-38", "1.1754943508222875e-38", "2.2250738585072011e-308", "2.2250738585072014e-308", "4.9e-324", "2.4703282292062328e-324",
		"1.7976931348623157e308", "1.7976931348623159e308", "16777217", "16777217.0000000001", "9007199254740993", "9007199254740993.00000000000000000001",
		"18446744073709551615", "18446744073709551616", "123456789012345678901234567890", "0.000000000000000000000000000001234567890123456789",
		"9999999999999999999", "99999999999999999999", "1e-5", "1E5", "1e+5", "12345678.12345678", "1.00000000000000011102230246251565404236316680908203125",
		"1.00000000000000011102230246251565404236316680908203124", "1.00000000000000011102230246251565404236316680908203126",
		// Middles between two float32 in plain notation, and the nearest numbers of 19 digits beside them.
		"16777219", "33554434", "33554438.0", "1.000000059604644775", "1.000000059604644776", "0.500000029802322387", "0.500000029802322388",
		"8388608.5", "8388609.5", "8388608.50000000000", "8388608.499999999999", "8388608.500000000001", "4194304.25", "4194304.75", "2097152.125",
		"9007199254740992.5", "9223372036854775807", "9223372036854775808", "9223372036854775809", "9223372586610589697",
		// The most digits and places that are scanned in runs, and one more.
		"0.000000000000000001", "0.0000000000000000001", "9.223372036854775807", "9.223372036854775808", "9.999999999999999999", "99.99999999999999999",
		"1234567890123456789", "12345678901234567890", "0.1234567890123456789", "0.12345678901234567890", "1e-37", "9e-38", "1.5e-36", "1.5E-37", "0e-37", "0.0e-36",
		"123456789e-29", "1e-1", "1e-01", "1e-001", "1e-0", "1e-00", "12345678.9e-5", "1e-99", "-1.25e-7", "-0", "-0.0", "-0e-5",
	} {
		checkFloat(t, text)
	}
}

func TestNumbersOutsideTheGrammarAreRefused(t *testing.T) {
	for text, at := range map[string]int{
		"": 0, "-": 1, "+1": 0, ".5": 0, "1.": 2, "01": 1, "-01": 2, "1e": 2, "1e+": 3, "1.e5": 2, "--1": 1, "x": 0, "-x": 1,
		"1.xxxxxxxxx": 2, "00": 1, "-00.5": 2, "12.x": 3, "-.5": 1,
	} {
		if _, _, end, _ := scanNumber([]byte(text), 0); end != ^at {
			t.Errorf("%q: end %d, want the complement of %d", text, end, at)
		}
		if value, ok := parseInList(text, 32); ok {
			t.Errorf("%q in a list is taken for %v", text, value)
		}
	}
}

func TestNumbersWithMoreBehindThemAreRefusedInLists(t *testing.T) {
	for _, text := range []string{"1e-5.", "1e-5e", "1e--5", "1e-", "1e-5-", "1.2.3", "12.3.4", "123456789.1.2", "1..2", "12..3", "1.2-", "1-", "1:", "1.2/3", "1.23456789:", "12 3", "1.5 2", "\xb11.2", "1\xb12", "1.\xb02", "0.123456\xb1"} {
		for _, size := range []int{32, 64} {
			if value, ok := parseInList(text, size); ok {
				t.Errorf("%q is taken for %v", text, value)
			}
		}
	}
}

// halfByDistance rounds a decimal to FP16 with big rationals, by comparing the
// distances to the two neighbours.
func halfByDistance(text string) (uint16, bool) {
	exact, _ := new(big.Rat).SetString(text)
	sign := uint16(0)
	if strings.HasPrefix(text, "-") {
		sign = 0x8000
		exact.Neg(exact)
	}
	value := func(h uint16) *big.Rat {
		if h == 0x7c00 {
			return new(big.Rat).SetInt64(65536)
		}
		return new(big.Rat).SetFloat64(float64(floatOfHalf(h)))
	}
	low, high := uint16(0), uint16(0x7c00)
	if exact.Cmp(value(high)) >= 0 {
		return 0, false
	}
	for high-low > 1 {
		if middle := (low + high) / 2; exact.Cmp(value(middle)) >= 0 {
			low = middle
		} else {
			high = middle
		}
	}
	below, above := new(big.Rat).Sub(exact, value(low)), new(big.Rat).Sub(value(high), exact)
	if c := below.Cmp(above); c > 0 || c == 0 && low&1 == 1 {
		low = high
	}
	return sign | low, low < 0x7c00
}

func TestHalvesAreRoundedOnce(t *testing.T) {
	check := func(text string) {
		t.Helper()
		exact, _ := strconv.ParseFloat(text, 64)
		got, ok := halfOf(exact, []byte(text))
		if want, fits := halfByDistance(text); ok != fits || ok && got != want {
			t.Errorf("%s = %#04x, %v; want %#04x, %v", text, got, ok, want, fits)
		}
	}
	for _, text := range []string{"0", "-0.0", "1e-30", "5.9604644775390625e-8", "2.98023223876953125e-8", "2.98023223876953124e-8",
		"2.98023223876953125000000000000000001e-8", "65504", "65519.99999999999999999999999", "65520", "65519", "-65520.5", "1e5",
		"6.103515625e-5", "6.09755516052246e-05", "2049", "2051", "2049.00000000000000000000001", "2048.99999999999999999999999", "0.002049e6", "20490000000000000000000001e-22"} {
		check(text)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		h := uint16(rng.IntN(0x7bff))
		low, high := floatOfHalf(h), floatOfHalf(h+1)
		middle := strconv.FormatFloat((float64(low)+float64(high))/2, 'f', 30, 64)
		check(middle)
		check("-" + middle + "00000001")
		check(strconv.FormatFloat((float64(low)+float64(high))/2*(1-1e-16), 'g', -1, 64))
		check(strconv.FormatFloat(rng.NormFloat64()*1000, 'g', -1, 64))
	}
}

func TestEveryHalfSurvivesItsText(t *testing.T) {
	for h := range uint32(1 << 16) {
		value := floatOfHalf(uint16(h))
		if h&0x7c00 == 0x7c00 {
			if math.IsInf(float64(value), 0) != (h&0x3ff == 0) || math.IsNaN(float64(value)) != (h&0x3ff != 0) {
				t.Fatalf("%#04x widens to %v", h, value)
			}
			continue
		}
		text := appendFloat(nil, float64(value), 32)
		exact, _ := strconv.ParseFloat(string(text), 64)
		if got, ok := halfOf(exact, text); !ok || got != uint16(h) {
			t.Fatalf("%#04x written as %s reads back as %#04x, %v", h, text, got, ok)
		}
	}
}

func FuzzParseFloat(f *testing.F) {
	for _, seed := range []string{"0", "-0.5", "1e5", "123456789.123456789e-10", "0.3333333432674408", "9007199254740993", "1e-400", "1.7976931348623159e308", "01", "1.", "1e"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, number []byte) {
		if len(number) > 5000 {
			return // strconv saturates exponents at 10,000 before it counts leading zeros
		}
		mantissa, exponent, end, form := scanNumber(number, 0)
		if end < 0 {
			if at := ^end; at < 0 || at > len(number) {
				t.Fatalf("%q: complaint about byte %d", number, at)
			}
			return
		}
		text := string(number[:end])
		if form&long == 0 {
			if want, ok := new(big.Rat).SetString(fmt.Sprintf("%de%d", mantissa, exponent)); ok && exponent > -5000 && exponent < 5000 {
				if exact, ok := new(big.Rat).SetString(strings.TrimPrefix(text, "-")); ok && exact.Cmp(want) != 0 {
					t.Fatalf("%s read as %de%d", text, mantissa, exponent)
				}
			}
		}
		checkFloat(t, text)
	})
}

func BenchmarkScanFloat32(b *testing.B) {
	for _, digits := range []int{6, 17} {
		b.Run(fmt.Sprintf("digits=%d", digits), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			var body []byte
			const n = 4096
			body = append(body, '[')
			for i := range n {
				body = comma(body, i > 0)
				if digits == 6 {
					body = strconv.AppendFloat(body, rng.Float64(), 'f', 6, 64)
				} else {
					body = strconv.AppendFloat(body, float64(rng.Float32()), 'g', 17, 64)
				}
			}
			body = append(body, ']')
			dst := make([]byte, 4*n)
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				f := filler{s: &scanner{b: body}, kind: runtime.FP32, data: dst}
				if err := f.row(n); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/float")
		})
	}
}
