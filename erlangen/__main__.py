from erlangen.cli import main

main()
