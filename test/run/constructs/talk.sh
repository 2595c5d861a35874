# A program that asks; each answer leaves a line, as does each time it runs.
echo x >> "$1"
printf 'name? '
read -r name
echo "$name" >> "$1-answers"
printf 'word? '
stty -echo
read -r word
stty echo
echo "${#word}" >> "$1-answers"
echo
echo "Good day, $name."
