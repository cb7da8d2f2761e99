# SPDX-License-Identifier: LGPL-2.1-or-later
# The plots of docs/benchmarks.md, from the .tsv files in `dir` (given with -e).
set terminal svg size 760,400 font "sans-serif,13" background rgb "white"
set datafile separator "\t"
set style line 1 lc rgb "#1b6ca8" lw 2 pt 7 ps 0.8
set style line 2 lc rgb "#d1495b" lw 2 pt 7 ps 0.8
set style line 3 lc rgb "#999999" lw 2
set border 3
set tics nomirror
set grid ytics lc rgb "#dddddd"

set output dir."/wake.svg"
set title "From publish to awake"
set ylabel "µs"
set yrange [0:*]
set key outside top center horizontal
set style data histogram
set style histogram clustered gap 1.5
set style fill solid 0.9 noborder
plot dir."/wake.tsv" using ($2/1000):xtic(1) title "median" lc rgb "#1b6ca8", \
     "" using ($3/1000) title "99 of 100 below" lc rgb "#a8c8e0"

set output dir."/publish.svg"
set title "Acquire and publish, by number of polling subscribers"
set ylabel "ns"
set xlabel "subscribers"
set logscale x 2
set logscale y
set yrange [100:*]
set xrange [0.8:320]
set style data linespoints
plot dir."/publish.tsv" using 1:2 title "each subscriber took the frame before (median)" ls 1, \
     "" using 1:3 title "as fast as it goes (mean)" ls 2, \
     300 + 20*(x-1) title "target: 300 ns, 20 ns for each further" ls 3 with lines
unset logscale
unset xlabel

set output dir."/sharing.svg"
set title "CPU time for a frame of 1920x1080 NV12, drawing and reading included"
set ylabel "µs"
set autoscale x
set yrange [0:*]
set style data histogram
set style histogram rowstacked
set boxwidth 0.6
plot dir."/sharing.tsv" using 2:xtic(1) title "writer" lc rgb "#1b6ca8", \
     "" using 3 title "reader" lc rgb "#d1495b"
